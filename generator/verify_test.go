// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemdLoads has systemd itself load what the golden cases give: not a word from `systemd-analyze verify`.
func TestSystemdLoads(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for path, a := range goldenCases(t) {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			// The programs must exist to be loaded without complaint; the working directories of a case do not.
			w := layOut(t, a.Files)
			w.result(t, append(a.Comment, "\nenv: PODUNIT=/bin/true\n"...))
			units, err := filepath.Glob(w.out + "/*.service")
			if err != nil {
				t.Fatal(err)
			}
			if len(units) == 0 {
				return
			}
			verify(t, analyze, w, units)
		})
	}
}

// verify loads units with systemd and fails for anything it says about them.
func verify(t *testing.T, analyze string, w world, units []string) {
	t.Helper()
	var args []string
	for _, u := range units {
		// Templates are loaded as an instance.
		if base := filepath.Base(u); strings.Contains(base, "@.") {
			instance := filepath.Join(filepath.Dir(u), strings.Replace(base, "@.", "@inst.", 1))
			if _, err := os.Lstat(instance); err != nil {
				if err := os.Symlink(base, instance); err != nil {
					t.Fatal(err)
				}
			}
			u = instance
		}
		args = append(args, u)
	}
	cmd := exec.Command(analyze, append([]string{"verify", "--man=no", "--recursive-errors=no"}, args...)...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+w.out+":", "SYSTEMD_LOG_COLOR=0")
	out, _ := cmd.CombinedOutput()
	for line := range strings.SplitSeq(string(out), "\n") {
		if strings.Contains(line, w.out) || strings.Contains(line, ".service:") {
			if !expectedOfSystemd(line) {
				t.Errorf("systemd: %s", line)
			}
		}
	}
}

// expectedOfSystemd are complaints that a case asks for, or that come from the machine the test runs on.
func expectedOfSystemd(line string) bool {
	for _, s := range []string{
		"Unknown key name 'Foo'", "Unknown key 'UpheldBy'", "Unknown section 'Pod'", "Unknown section 'Timer'", "is not executable: No such file",
	} {
		if strings.Contains(line, s) {
			return true
		}
	}
	return false
}
