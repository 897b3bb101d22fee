// SPDX-License-Identifier: Apache-2.0

//go:build lab

package network

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabPasta runs this package's tests in a Debian 13, with its pasta, as a user and
// as root, with a default route and without.
func TestLabPasta(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{Bare: true, NoImages: true})
	program := filepath.Join(t.TempDir(), "network.test")
	// With all that it needs: the lab may have another C library.
	build := exec.Command("go", "test", "-c", "-tags", "containers_image_openpgp exclude_graphdriver_btrfs netgo osusergo", "-ldflags", `-linkmode external -extldflags "-static -Wl,-w"`, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	l.WriteFile("root", "/usr/local/bin/network.test", string(data))
	l.MustRun("root", "chmod 755 /usr/local/bin/network.test")
	for _, route := range []bool{true, false} {
		if err := l.Machine.SetRoute(context.Background(), route); err != nil {
			t.Fatal(err)
		}
		for _, user := range []string{"alice", "root"} {
			stdout, stderr, code := l.Run(user, "cd /tmp && network.test -test.v")
			if code != 0 {
				t.Errorf("as %s, route %t:\n%s%s", user, route, stdout, stderr)
			}
			for line := range strings.Lines(stdout) {
				if strings.Contains(line, "--- SKIP: TestPasta") {
					t.Errorf("as %s, route %t: %s", user, route, line)
				}
				if strings.Contains(line, "pasta after") {
					t.Logf("as %s, route %t: %s", user, route, strings.TrimSpace(line))
				}
			}
		}
	}
	l.Gone("root", "ls -d /tmp/podunit-* /dev/shm/podunit-* 2>/dev/null; pgrep -a pasta")
}
