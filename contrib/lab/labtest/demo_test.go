// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLabDemo runs what make demo runs, once with podunit and once with the peer on the same files.
func TestLabDemo(t *testing.T) {
	for _, peer := range []bool{false, true} {
		t.Run(fmt.Sprintf("peer %v", peer), func(t *testing.T) {
			name := fmt.Sprintf("demo-%d-%v", os.Getpid(), peer)
			Boot(t, Options{Name: name, Bare: peer, Off: true}) // builds, and removes what the demo leaves running
			dir, err := top()
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"--name", name}
			if peer {
				args = append(args, "--peer")
			}
			cmd := exec.Command(filepath.Join(dir, "contrib/demo"), args...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := bytes.Count(out, []byte("\n200, ")); n != 12 {
				t.Errorf("%d of 12 answers\n%s", n, out)
			}
			if !strings.Contains(string(out), "All came up by itself") {
				t.Errorf("no end\n%s", out)
			}
		})
	}
}
