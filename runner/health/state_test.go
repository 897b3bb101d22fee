// SPDX-License-Identifier: Apache-2.0

package health

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 29, 4, 0, 0, 0, time.UTC)

// run is one run of a check: seconds after the start, and its exit code.
type run struct {
	at   int
	code int
}

// TestAfter tells histories of checks: after each run, what is shown and what is to be done.
func TestAfter(t *testing.T) {
	regular := Config{Regular: Check{Retries: 3}, OnFailure: "kill"}
	period := Config{Regular: Check{Retries: 2, StartPeriod: 10 * time.Second}}
	startup := func(retries, successes int) Config {
		return Config{Regular: Check{Retries: 1}, Startup: &Check{Retries: retries, Successes: successes}}
	}
	type step struct {
		run
		status Status
		streak int
		action Action
	}
	for _, c := range []struct {
		name   string
		config Config
		steps  []step
	}{
		{"healthy at the first success", regular, []step{{run{1, 0}, Healthy, 0, Nothing}}},
		{"unhealthy after three failures in a row", regular, []step{
			{run{1, 1}, Starting, 1, Nothing}, {run{2, 1}, Starting, 2, Nothing}, {run{3, 1}, Unhealthy, 3, Failed},
		}},
		{"a success ends the row", regular, []step{
			{run{1, 1}, Starting, 1, Nothing}, {run{2, 1}, Starting, 2, Nothing}, {run{3, 0}, Healthy, 0, Nothing},
			{run{4, 1}, Healthy, 1, Nothing}, {run{5, -1}, Healthy, 2, Nothing}, {run{6, 125}, Unhealthy, 3, Failed},
		}},
		{"each check that finds it unhealthy acts", regular, []step{
			{run{1, 1}, Starting, 1, Nothing}, {run{2, 1}, Starting, 2, Nothing}, {run{3, 1}, Unhealthy, 3, Failed},
			{run{4, 1}, Unhealthy, 4, Failed}, {run{5, 0}, Healthy, 0, Nothing},
		}},
		{"failures in the start period do not count", period, []step{
			{run{1, 1}, Starting, 0, Nothing}, {run{9, 1}, Starting, 0, Nothing}, {run{10, 1}, Starting, 1, Nothing}, {run{11, 1}, Unhealthy, 2, Failed},
		}},
		{"a success in the start period counts, and a failure after it does not", period, []step{
			{run{1, 0}, Healthy, 0, Nothing}, {run{2, 1}, Healthy, 0, Nothing},
		}},
		{"no retries given is one", Config{}, []step{{run{1, 1}, Unhealthy, 1, Failed}}},
		{"a start-up check hands over when it has passed", startup(0, 0), []step{
			{run{1, 1}, Starting, 0, Nothing}, {run{2, 0}, Healthy, 0, Regular}, {run{3, 1}, Unhealthy, 1, Failed},
		}},
		{"a start-up check that must pass twice, not in a row, is not healthy before", startup(0, 2), []step{
			{run{1, 0}, Starting, 0, Nothing}, {run{2, 1}, Starting, 0, Nothing}, {run{3, 0}, Healthy, 0, Regular},
		}},
		{"so many failures in all of a start-up check restart", startup(2, 2), []step{
			{run{1, 1}, Starting, 0, Nothing}, {run{2, 0}, Starting, 0, Nothing}, {run{3, 1}, Starting, 0, Restart},
		}},
		{"a start-up check without retries never restarts", startup(0, 0), []step{
			{run{1, 1}, Starting, 0, Nothing}, {run{2, 1}, Starting, 0, Nothing}, {run{3, 1}, Starting, 0, Nothing},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Begin(c.config, start)
			for i, want := range c.steps {
				at := start.Add(time.Duration(want.at) * time.Second)
				before := s
				var action Action
				s, action = s.After(c.config, Result{Entry: Entry{Start: at, End: at, ExitCode: want.code}})
				if s.Status != want.status || s.FailingStreak != want.streak || action != want.action {
					t.Errorf("run %d (exit %d): %s, streak %d, action %d; want %s, %d, %d", i, want.code, s.Status, s.FailingStreak, action, want.status, want.streak, want.action)
				}
				if len(before.Log) != i || len(s.Log) != i+1 {
					t.Errorf("run %d: log of %d, before %d", i, len(s.Log), len(before.Log))
				}
			}
		})
	}
}

func TestStoppedUnderACheck(t *testing.T) {
	c := Config{Regular: Check{Retries: 1}, OnFailure: "restart"}
	s, action := Begin(c, start).After(c, Result{Entry: Entry{ExitCode: CodeFailure}, Stopped: true})
	if s.Status != Stopped || action != Nothing || s.FailingStreak != 0 || len(s.Log) != 1 {
		t.Errorf("%+v, action %d", s, action)
	}
}

func TestOutcome(t *testing.T) {
	failed := []Entry{{ExitCode: CodeTimeout}}
	for _, c := range []struct {
		before, after State
		want          Status
	}{
		{State{Status: Healthy}, State{Status: Healthy, Log: []Entry{{}}}, Healthy},
		{State{Status: Starting}, State{Status: Starting, Log: failed}, Starting},
		{State{Status: Healthy}, State{Status: Healthy, FailingStreak: 1, Log: failed}, Unhealthy},
		{State{Status: Healthy}, State{Status: Stopped, Log: failed}, Stopped},
	} {
		if got := Outcome(c.before, c.after); got != c.want {
			t.Errorf("%+v: %s, want %s", c.after, got, c.want)
		}
	}
}

func TestResumed(t *testing.T) {
	s := State{Status: Healthy, FailingStreak: 1, Log: []Entry{{ExitCode: 1}}}.Resumed()
	if s.Status != Reset || s.FailingStreak != 1 || len(s.Log) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestWaits(t *testing.T) {
	c := Config{Regular: Check{StartPeriod: 10 * time.Second}, Delayed: true}
	s := Begin(c, start)
	if !s.Waits(c, start.Add(9*time.Second)) || s.Waits(c, start.Add(10*time.Second)) {
		t.Error("a delayed check must wait for the end of the start period, and no longer")
	}
	c.Delayed = false
	if s.Waits(c, start) {
		t.Error("others run in the start period")
	}
}

func TestLogIsCut(t *testing.T) {
	c := Config{MaxLogCount: 2, MaxLogSize: 4}
	s := Begin(c, start)
	for _, out := range []string{"one", "twenty", "abcé"} {
		s, _ = s.After(c, Result{Entry: Entry{Output: out}})
	}
	var got []string
	for _, e := range s.Log {
		got = append(got, e.Output)
	}
	if want := []string{"twen", "abc"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	c = Config{}
	s = Begin(c, start)
	for range 20 {
		s, _ = s.After(c, Result{Entry: Entry{Output: strings.Repeat("x", 9999)}})
	}
	if len(s.Log) != 20 || len(s.Log[0].Output) != 9999 {
		t.Error("zero is no limit")
	}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct{ test, want []string }{
		{[]string{"CMD", "redis-cli", "ping"}, []string{"redis-cli", "ping"}},
		{[]string{"CMD-SHELL", "curl -f", "localhost"}, []string{"/bin/sh", "-c", "curl -f localhost"}},
		{[]string{"/check", "it"}, []string{"/check", "it"}},
		{nil, nil},
	} {
		if got := (Check{Test: c.test}).Command(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %q, want %q", c.test, got, c.want)
		}
	}
}
