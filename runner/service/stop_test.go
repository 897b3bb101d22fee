// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/unit"
)

// The rows are those of systemd.service(5), table "Exit causes and the effect of the
// Restart= settings".
func TestWillRestart(t *testing.T) {
	causes := map[string]struct{ result, exitCode string }{
		"clean":    {"success", "exited"},
		"unclean":  {"exit-code", "exited"},
		"signal":   {"signal", "killed"},
		"core":     {"core-dump", "dumped"},
		"timeout":  {"timeout", ""},
		"watchdog": {"watchdog", ""},
	}
	restarts := map[string][]string{
		"no":          {},
		"always":      {"clean", "unclean", "signal", "core", "timeout", "watchdog"},
		"on-success":  {"clean"},
		"on-failure":  {"unclean", "signal", "core", "timeout", "watchdog"},
		"on-abnormal": {"signal", "core", "timeout", "watchdog"},
		"on-abort":    {"signal", "core"},
		"on-watchdog": {"watchdog"},
	}
	for policy, want := range restarts {
		wanted := map[string]bool{}
		for _, c := range want {
			wanted[c] = true
		}
		for name, cause := range causes {
			if got := willRestart(policy, cause.result, cause.exitCode); got != wanted[name] {
				t.Errorf("Restart=%s after %s: got %t", policy, name, got)
			}
		}
	}
}

func TestExitCodeIsThatOfTheMainProcess(t *testing.T) {
	for _, c := range []struct {
		name         string
		code, status string
		want         int
		known        bool
	}{
		{"an exit status is taken as it is", "exited", "3", 3, true},
		{"a death by signal is 128 and its number", "killed", "KILL", 137, true},
		{"a core dump as well", "dumped", "SEGV", 139, true},
		{"a start that never had a main process says nothing", "", "", 0, false},
		{"nonsense is not believed", "exited", "x", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			vars := map[string]string{"EXIT_CODE": c.code, "EXIT_STATUS": c.status}
			e := &Engine{Config: Config{Lookup: func(n string) (string, bool) { v, ok := vars[n]; return v, ok && v != "" }}}
			got, known := e.exitCode()
			if got != c.want || known != c.known {
				t.Errorf("got %d, %t; want %d, %t", got, known, c.want, c.known)
			}
		})
	}
}

func TestWhatBecomesOfAUnit(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	own, gone := os.Getpid(), ended.Process.Pid
	for _, c := range []struct {
		name           string
		p              unit.Properties
		ending, starts bool
	}{
		{"it runs", unit.Properties{ActiveState: "active", MainPID: own}, false, false},
		{"the manager has not noticed the end", unit.Properties{ActiveState: "active", MainPID: gone}, true, true},
		{"what comes after is being done", unit.Properties{ActiveState: "deactivating"}, true, true},
		{"it waits for its next start", unit.Properties{ActiveState: "activating"}, false, true},
		{"it has done all, and stays", unit.Properties{ActiveState: "active"}, false, false},
		{"it has ended", unit.Properties{ActiveState: "inactive"}, false, false},
		{"it has failed", unit.Properties{ActiveState: "failed"}, false, false},
		{"it is being restarted", unit.Properties{ActiveState: "inactive", HasJob: true}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if ending(c.p) != c.ending || starts(c.p) != c.starts {
				t.Errorf("ending %t, starts %t", ending(c.p), starts(c.p))
			}
		})
	}
}

// TestRestartOfOneThatGoesWithItsEnd: while its unit is restarted, the commands that remove a
// container made with --rm only end it and note how it ended.
func TestRestartOfOneThatGoesWithItsEnd(t *testing.T) {
	for job, stays := range map[string]bool{"restart": true, "stop": false, "": false} {
		w := newWorld(t)
		r := w.made("web", func(r *container.Record) { r.Spec.Remove = true })
		w.running(r, "web.service")
		w.inService("web.service")
		w.manager.jobs = map[string]string{"web.service": job}
		w.env["SERVICE_RESULT"] = "success"
		for _, after := range []bool{false, true} { // ExecStop=, and ExecStopPost=
			if after {
				w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = "exited", "7"
			}
			err := w.Remove(t.Context(), r, Removal{Force: true, Volumes: true, Timeout: time.Second})
			if err != nil && !errors.Is(err, container.ErrNotFound) || w.exists("web") != stays || stays && w.alive(r) {
				t.Fatalf("%q, after its end %t: %v; it is there: %t", job, after, err, w.exists("web"))
			}
			if !stays {
				break
			}
		}
		if !stays {
			continue
		}
		if x, err := w.Containers.Exit(r.ID); err != nil || x == nil || x.Code != 7 {
			t.Errorf("%+v, %v", x, err)
		}
	}
}
