// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// teller is a runner that tells only which runtime directory the constructor has found.
const teller = `
#include <stdio.h>
#include "enter.h"
const char podunit_is_runner = 1;
int podunit_log_main(int argc, char **argv) { return 1; }
int podunit_infra_main(int argc, char **argv) { return 1; }
int podunit_gate_main(int argc, char **argv) { return 1; }
void podunit_expect_moves(void) {}
int main(int argc, char **argv)
{
	printf("%s|%d|%s\\n", podunit_identity.run_dir, podunit_identity.problem, podunit_identity.detail);
	return 0;
}
`

// TestRunDir: a user has one directory for runtime state, with a login's environment and
// without it, and never one in a place where somebody else could be first.
func TestRunDir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to be several users")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "teller.c"), filepath.Join(dir, "teller")
	if err := os.WriteFile(source, []byte(teller), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-I", here, "-o", program, source, filepath.Join(here, "enter.c")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const prepare = "mount --make-rprivate / && mount -t tmpfs run /run && mount -t tmpfs tmp /tmp && mkdir -m 755 /run/user && "
	const missing = int(NoRunDir)
	const units = "install -d /run/podunit-user; install -d -o 12345 -m 700 /run/podunit-user/12345"
	strange := fmt.Sprintf("|%d|/run/podunit-user/12345 is no directory of this user's alone", missing)
	for name, c := range map[string]struct{ script, run, verb, want string }{
		"after a login":         {"install -d -o 12345 -m 700 /run/user/12345", "XDG_RUNTIME_DIR=/run/user/12345", "version", "/run/user/12345|0|"},
		"without its variable":  {"install -d -o 12345 -m 700 /run/user/12345", "", "version", "/run/user/12345|0|"},
		"a variable gone wrong": {"install -d -o 12345 -m 700 /run/user/12345", "XDG_RUNTIME_DIR=/nowhere", "version", "/run/user/12345|0|"},
		"a stranger's variable": {"install -d -o 12345 -m 700 /run/user/12345; install -d -o 7 /run/x", "XDG_RUNTIME_DIR=/run/x", "version", "/run/user/12345|0|"},
		"one of its own":        {"install -d -o 12345 -m 700 /run/user/12345 /run/x", "XDG_RUNTIME_DIR=/run/x", "version", "/run/x|0|"},
		"others write in it":    {"install -d -o 12345 -m 777 /run/user/12345", "", "ps", fmt.Sprintf("|%d|/run/user/12345 is no directory of this user's alone", missing)},
		"a link":                {"install -d -o 12345 /run/x; ln -s /run/x /run/user/12345", "", "ps", fmt.Sprintf("|%d|/run/user/12345 is no directory of this user's alone", missing)},
		"never logged in":       {"mkdir -m 777 /tmp/podunit-run-12345; chown 12345 /tmp/podunit-run-12345", "", "ps", fmt.Sprintf("|%d|/run/user/12345 is not there", missing)},
		"nor needed":            {"true", "", "version", "|0|"},
		// A system unit with User= has run, by install -d in the place of the system's manager.
		"of a system unit":            {units, "", "version", "/run/podunit-user/12345|0|"},
		"and after a login":           {units + "; install -d -o 12345 -m 700 /run/user/12345", "XDG_RUNTIME_DIR=/run/user/12345", "version", "/run/podunit-user/12345|0|"},
		"and one of its own":          {units + "; install -d -o 12345 -m 700 /run/x", "XDG_RUNTIME_DIR=/run/x", "version", "/run/x|0|"},
		"of somebody else's unit":     {"install -d /run/podunit-user; install -d -o 7 -m 700 /run/podunit-user/7; install -d -o 12345 -m 700 /run/user/12345", "", "version", "/run/user/12345|0|"},
		"others write in the unit's":  {units + "; chmod 777 /run/podunit-user/12345; install -d -o 12345 -m 700 /run/user/12345", "", "ps", strange},
		"a link for the unit's":       {"install -d /run/podunit-user; install -d -o 12345 -m 700 /run/user/12345; ln -s /run/user/12345 /run/podunit-user/12345", "", "ps", strange},
		"a stranger's for the unit's": {"install -d /run/podunit-user; install -d -o 7 -m 755 /run/podunit-user/12345", "", "ps", strange},
		"a stranger's parent":         {units + "; chown 7 /run/podunit-user", "", "ps", strange},
		"a parent for all":            {units + "; chmod 1777 /run/podunit-user", "", "ps", strange},
		"a link for the parent":       {"install -d /run/y; install -d -o 12345 -m 700 /run/y/12345; ln -s y /run/podunit-user", "", "ps", strange},
	} {
		t.Run(name, func(t *testing.T) {
			// The program is out of sight once /tmp is mounted over, but for its descriptor.
			cmd := exec.Command("sh", "-c", prepare+c.script+" && exec env -i "+c.run+" setpriv --reuid 12345 --regid 12345 --clear-groups /proc/self/fd/3 "+c.verb)
			f, err := os.Open(program)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			cmd.ExtraFiles = []*os.File{f}
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(got, c.want) || strings.Contains(got, "/tmp") {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}
