// SPDX-License-Identifier: Apache-2.0

package update

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/service"
)

// TestHealth is what an update makes of the checks of a container that runs.
func TestHealth(t *testing.T) {
	timed := health.Config{Regular: health.Check{Test: []string{"CMD", "true"}, Interval: time.Second}}
	byHand := timed
	byHand.Regular.Interval = 0
	for _, c := range []struct {
		name   string
		config *health.Config
		status health.Status
		ended  bool
		want   string
	}{
		{"no check", nil, "", false, ""},
		{"none has decided", &timed, health.Starting, false, "starting"},
		{"resumed", &timed, health.Reset, false, "starting"},
		{"healthy", &timed, health.Healthy, false, "healthy"},
		{"unhealthy", &timed, health.Unhealthy, false, "unhealthy"},
		{"only people run it", &byHand, health.Starting, false, ""},
		{"a person has run it", &byHand, health.Unhealthy, false, "unhealthy"},
		{"the container has ended", &timed, health.Unhealthy, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &container.Engine{RunDir: t.TempDir()}
			r := container.Record{ID: strings.Repeat("a", 64), Health: c.config}
			if err := os.MkdirAll(x.Dir(r.ID), 0o700); err != nil {
				t.Fatal(err)
			}
			status := container.Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())}
			if c.ended {
				status.StartTicks++
			}
			if err := container.WriteJSON(x.Dir(r.ID)+"/status.json", status); err != nil {
				t.Fatal(err)
			}
			if c.config != nil {
				files := x.HealthFiles(r.ID)
				if err := files.Begin(health.Plan{Config: *c.config, ID: r.ID}, time.Now()); err != nil {
					t.Fatal(err)
				}
				if err := files.Save(health.State{Status: c.status}); err != nil {
					t.Fatal(err)
				}
			}
			if got := (&Host{Engine: &service.Engine{Containers: x}}).health(r); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
