// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/unit"
)

// TestRecheck changes the checks of a container that runs: the timer is another one where it has to
// know of the change, and what the checks have come to stays.
func TestRecheck(t *testing.T) {
	w := newWorld(t)
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "reloading"})
	r := w.made("web", nil)
	w.running(r, "web.service")
	s, err := w.Containers.Status(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	files := w.Containers.HealthFiles(r.ID)
	change := func(name string, to *health.Config) []unit.Timer {
		t.Helper()
		r.Health = to
		old := len(w.manager.timers)
		if err := w.recheck(t.Context(), r, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return w.manager.timers[old:]
	}
	pauses := func(timers []unit.Timer) (all []time.Duration) {
		for _, one := range timers {
			all = append(all, one.Pause)
		}
		return all
	}
	with := func(change func(*health.Config)) *health.Config {
		c := oneCheck("")
		change(&c)
		return &c
	}
	if got := change("none, as before", nil); len(got) != 0 {
		t.Errorf("timers without a check: %+v", got)
	}
	if got := change("a first check", with(func(*health.Config) {})); !slices.Equal(pauses(got), []time.Duration{time.Second}) || got[0].BoundTo != "web.service" || got[0].Waits {
		t.Errorf("a first check: %+v", got)
	}
	if err := files.WithLock(func() error {
		state, err := files.State()
		if err == nil {
			state.FailingStreak = 2
			err = files.Save(*state)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	first, err := files.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if got := change("what follows", with(func(c *health.Config) { c.OnFailure = "kill" })); len(got) != 0 {
		t.Errorf("a timer anew for %+v", got)
	}
	if plan, err := files.Plan(); err != nil || plan.OnFailure != "kill" || plan.Timer != first.Timer {
		t.Errorf("%+v, %v", plan, err)
	}
	if got := change("the interval", with(func(c *health.Config) { c.Regular.Interval = time.Minute })); !slices.Equal(pauses(got), []time.Duration{time.Minute}) {
		t.Errorf("another interval: %+v", got)
	}
	if !w.manager.asked("ask stop " + first.Timer) {
		t.Error("the old timer goes on")
	}
	second, _ := files.Plan()
	refused := errors.New("refused")
	timer := "timer podunit-health-" + r.ID[:12]
	w.manager.fails = map[string]error{timer: refused}
	r.Health = with(func(c *health.Config) { c.Regular.Interval = time.Hour })
	if err := w.recheck(t.Context(), r, s); !errors.Is(err, refused) || w.manager.asked("ask stop "+second.Timer) {
		t.Errorf("a timer that cannot be started: %v, asked %v", err, w.manager.calls)
	}
	if plan, err := files.Plan(); err != nil || plan.Timer != second.Timer {
		t.Errorf("the timer that goes on is %s, the plan's %s, %v", second.Timer, plan.Timer, err)
	}
	w.manager.fails = nil
	if got := change("no interval", with(func(c *health.Config) { c.Regular.Interval = 0 })); len(got) != 0 || !w.manager.asked("ask stop "+second.Timer) {
		t.Errorf("without an interval: %+v", got)
	}
	if state, err := files.State(); err != nil || state == nil || state.FailingStreak != 2 {
		t.Errorf("the state is lost: %+v, %v", state, err)
	}
	if got := change("an interval again", with(func(*health.Config) {})); len(got) != 1 {
		t.Errorf("an interval again: %+v", got)
	}
	last, _ := files.Plan()
	if got := change("no check", nil); len(got) != 0 || !w.manager.asked("ask stop "+last.Timer) {
		t.Errorf("no check: %+v", got)
	}
	if _, err := files.Plan(); !errors.Is(err, health.ErrNone) {
		t.Errorf("the plan stays: %v", err)
	}
}
