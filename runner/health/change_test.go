// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/spec"
)

// TestChange: what is not named stays as it was, the image's check included.
func TestChange(t *testing.T) {
	pause, zero := 5*time.Second, time.Duration(0)
	some, none := uint(9), uint(0)
	whole := Config{
		Regular:   Check{Test: []string{spec.TestExec, "x"}, Interval: time.Minute, Timeout: 7 * time.Second, Retries: 4, StartPeriod: time.Hour},
		Startup:   &Check{Test: []string{spec.TestExec, "y"}, Interval: time.Second, Timeout: time.Second, Retries: 2, Successes: 3},
		OnFailure: "kill", Delayed: true, LogDestination: LogEvents, MaxLogCount: 0, MaxLogSize: 10,
	}
	with := func(change func(*Config)) *Config {
		c := whole
		s := *whole.Startup
		c.Startup = &s
		change(&c)
		return &c
	}
	for name, c := range map[string]struct {
		apply func(*spec.Container)
		want  *Config
	}{
		"nothing":          {func(*spec.Container) {}, with(func(*Config) {})},
		"the interval":     {func(to *spec.Container) { to.Health.Interval = &pause }, with(func(c *Config) { c.Regular.Interval = pause })},
		"no interval":      {func(to *spec.Container) { to.Health.Interval = &zero }, with(func(c *Config) { c.Regular.Interval = 0 })},
		"the command":      {func(to *spec.Container) { to.Health.Test = []string{spec.TestExec, "z"} }, with(func(c *Config) { c.Regular.Test = []string{spec.TestExec, "z"} })},
		"tries at a start": {func(to *spec.Container) { to.StartupHealth.Retries = &some }, with(func(c *Config) { c.Startup.Retries = 9 })},
		"nothing follows":  {func(to *spec.Container) { to.OnUnhealthy = "" }, with(func(c *Config) { c.OnFailure = "" })},
		"the log":          {func(to *spec.Container) { to.HealthLog.Destination, to.HealthLog.Size = LogLocal, &none }, with(func(c *Config) { c.LogDestination, c.MaxLogSize = LogLocal, 0 })},
		"no check": {func(to *spec.Container) {
			to.Health, to.StartupHealth, to.OnUnhealthy = &spec.HealthCheck{Test: []string{spec.TestNone}}, nil, ""
		}, nil},
	} {
		got, err := Change(&whole, false, c.apply)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if _, err := Change(nil, false, func(to *spec.Container) { to.Health.Interval = &pause }); !errors.Is(err, ErrNone) {
		t.Errorf("an interval of no check: %v", err)
	}
	plain := with(func(c *Config) { c.Startup = nil })
	if _, err := Change(plain, false, func(to *spec.Container) { to.StartupHealth = &spec.HealthCheck{Retries: &some} }); err == nil {
		t.Error("tries of no check at the start")
	}
	got, err := Change(nil, false, func(to *spec.Container) { to.Health.Test = []string{spec.TestExec, "z"} })
	if err != nil || got == nil || got.Regular.Interval != spec.HealthInterval || got.MaxLogCount != spec.HealthLogCount {
		t.Errorf("a first check: %+v, %v", got, err)
	}
	if _, err := Change(&whole, true, func(to *spec.Container) { to.Health = &spec.HealthCheck{Test: []string{spec.TestNone}} }); err == nil {
		t.Error("a start waits for a health that nobody checks")
	}
}
