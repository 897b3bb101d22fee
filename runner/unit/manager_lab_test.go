// SPDX-License-Identifier: Apache-2.0

//go:build lab

package unit

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabManager runs this package's tests beside a real systemd: as a user in a user
// namespace, where getuid says 0, and as root.
func TestLabManager(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{Bare: true, NoImages: true})
	program := filepath.Join(t.TempDir(), "unit.test")
	// With all that it needs: the lab may have another C library.
	build := exec.Command("go", "test", "-c", "-tags", "netgo osusergo", "-ldflags", `-linkmode external -extldflags "-static -Wl,-w"`, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	l.WriteFile("root", "/usr/local/bin/unit.test", string(data))
	l.MustRun("root", "chmod 755 /usr/local/bin/unit.test")
	for _, c := range []struct{ name, user, script string }{
		{"a user", "alice", realUID + "=1000 unit.test -test.v"},
		{"a user in a user namespace", "alice", realUID + "=1000 unshare --user --map-root-user unit.test -test.v"},
		{"a user on the bus only", "alice", "cd /tmp && ln -s $XDG_RUNTIME_DIR/bus bus && XDG_RUNTIME_DIR=/tmp " + realUID + "=1000 unit.test -test.v -test.run Real"},
		{"root", "root", realUID + "=0 unit.test -test.v"},
	} {
		stdout, stderr, code := l.Run(c.user, c.script)
		if code != 0 || !strings.Contains(stdout, "--- PASS: TestRealManager") {
			t.Errorf("%s:\n%s%s", c.name, stdout, stderr)
		}
	}
}
