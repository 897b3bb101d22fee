// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/process"
)

// TestHeal: only a container that runs without the process beside it is looked at, nobody waits for
// long who works on one, and what goes wrong names it.
func TestHeal(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		busy, ended, watched bool
		want                 string
	}{
		"it cannot be given one":  {want: "container web has no log until it is restarted, for podunit-log was killed: "},
		"somebody works on it":    {busy: true},
		"it has ended":            {ended: true},
		"it has what runs beside": {watched: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.made("web", nil)
			first := w.running(r, "web.service")
			pid := first.Process.Pid
			// No such cgroup exists: nothing can be started in it.
			s := container.Status{PID: pid, StartTicks: process.StartTicks(pid), StartedAt: time.Now(), Unit: "web.service",
				Cgroup: "/podunit-test-none/payload", LogPID: dead.Process.Pid, LogTicks: 1}
			if c.ended {
				s.StartTicks = 1
			}
			if c.watched {
				s.LogPID, s.LogTicks = pid, s.StartTicks
			}
			w.status(r, s)
			if c.busy {
				defer w.hold(r.Name)()
			}
			err := w.Heal(t.Context())
			if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if now, err := w.Containers.Status(r.ID); err != nil || now.LogPID != s.LogPID {
				t.Errorf("the process beside it is %d, %v", now.LogPID, err)
			}
		})
	}
}
