// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOpen takes network namespaces, and waits for nobody where there is something else.
func TestOpen(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		threadNS: "", pipe: "is not a network namespace", "/proc/self/ns/uts": "is not a network namespace",
		filepath.Dir(pipe): "is not a network namespace", pipe + "s": "no such file",
	} {
		f, err := Open(path)
		if err == nil {
			f.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
