// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/spec"
)

func ptr[T any](v T) *T { return &v }

func TestResolve(t *testing.T) {
	image := &spec.HealthCheck{Test: []string{"CMD", "image"}, Interval: ptr(time.Minute), Retries: ptr(uint(7))}
	defaults := Check{Interval: 30 * time.Second, Timeout: 30 * time.Second, Retries: 3}
	with := func(change func(*Check)) Check { c := defaults; change(&c); return c }
	for _, c := range []struct {
		name  string
		asked spec.Container
		image *spec.HealthCheck
		want  *Check // nil for none
	}{
		{"nothing at all", spec.Container{}, nil, nil},
		{"the image's", spec.Container{}, image, ptr(with(func(c *Check) {
			c.Test, c.Interval, c.Retries = []string{"CMD", "image"}, time.Minute, 7
		}))},
		{"the image's, less what was asked for", spec.Container{Health: &spec.HealthCheck{Interval: ptr(time.Second), Timeout: ptr(2 * time.Second), StartPeriod: ptr(3 * time.Second)}}, image, ptr(with(func(c *Check) {
			c.Test, c.Interval, c.Retries, c.Timeout, c.StartPeriod = []string{"CMD", "image"}, time.Second, 7, 2*time.Second, 3*time.Second
		}))},
		{"a command of its own takes nothing from the image", spec.Container{Health: &spec.HealthCheck{Test: []string{"CMD", "own"}}}, image, ptr(with(func(c *Check) {
			c.Test = []string{"CMD", "own"}
		}))},
		{"none hides the image's", spec.Container{Health: &spec.HealthCheck{Test: []string{"NONE"}}}, image, nil},
		{"an image that says none", spec.Container{}, &spec.HealthCheck{Test: []string{"NONE"}}, nil},
		{"an interval without a check", spec.Container{Health: &spec.HealthCheck{Interval: ptr(time.Second)}}, nil, nil},
		{"an interval of zero", spec.Container{Health: &spec.HealthCheck{Test: []string{"CMD", "x"}, Interval: ptr(time.Duration(0))}}, nil, ptr(with(func(c *Check) {
			c.Test, c.Interval = []string{"CMD", "x"}, 0
		}))},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Resolve(&c.asked, c.image)
			if err != nil {
				t.Fatal(err)
			}
			if (got == nil) != (c.want == nil) || got != nil && !reflect.DeepEqual(got.Regular, *c.want) {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestResolveTheRest(t *testing.T) {
	got, err := Resolve(&spec.Container{
		Health:        &spec.HealthCheck{Test: []string{"CMD", "x"}},
		StartupHealth: &spec.HealthCheck{Test: []string{"CMD", "s"}, Timeout: ptr(time.Second), Retries: ptr(uint(4)), Successes: ptr(uint(2))},
		Annotations:   map[string]string{DelayedAnnotation: "true"},
		OnUnhealthy:   "kill", HealthLog: spec.HealthLog{Destination: "/var/log", Count: ptr(uint(0)), Size: ptr(uint(9))},
	}, nil)
	want := &Config{
		Regular:   Check{Test: []string{"CMD", "x"}, Interval: 30 * time.Second, Timeout: 30 * time.Second, Retries: 3},
		Startup:   &Check{Test: []string{"CMD", "s"}, Interval: 30 * time.Second, Timeout: time.Second, Retries: 4, Successes: 2},
		OnFailure: "kill", Delayed: true, LogDestination: "/var/log", MaxLogCount: 0, MaxLogSize: 9,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatNeedsACheck(t *testing.T) {
	for what, c := range map[string]spec.Container{
		"--sdnotify healthy":       {SdNotify: "healthy"},
		"--health-on-failure kill": {OnUnhealthy: "kill"},
		"--health-startup-cmd":     {StartupHealth: &spec.HealthCheck{Test: []string{"CMD", "s"}}},
	} {
		if _, err := Resolve(&c, nil); err == nil || !strings.HasPrefix(err.Error(), what+" needs a health check") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Resolve(&c, &spec.HealthCheck{Test: []string{"CMD", "image"}}); err != nil {
			t.Errorf("%s: the image's check will do: %v", what, err)
		}
	}
}

func TestFiles(t *testing.T) {
	f := Files{t.TempDir()}
	if s, err := f.State(); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if _, err := f.Plan(); !errors.Is(err, ErrNone) {
		t.Errorf("%v", err)
	}
	plan := Plan{Config: Config{Regular: Check{Test: []string{"CMD", "x"}}}, ID: "1", Unit: "web.service"}
	if err := f.Begin(plan, start); err != nil {
		t.Fatal(err)
	}
	got, err := f.Plan()
	if err != nil || !reflect.DeepEqual(got, plan) {
		t.Errorf("%+v, %v", got, err)
	}
	s, err := f.State()
	if err != nil || s == nil || s.Status != Starting || !s.StartedAt.Equal(start) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := f.Remove(); err != nil {
		t.Error(err)
	}
	if s, err := f.State(); s != nil || err != nil {
		t.Errorf("after its removal: %v, %v", s, err)
	}
}

// TestLock has two take turns.
func TestLock(t *testing.T) {
	f := Files{t.TempDir()}
	inside, done := make(chan bool), make(chan error)
	go func() { done <- f.WithLock(func() error { inside <- true; inside <- true; return nil }) }()
	<-inside
	second := make(chan error)
	var entered atomic.Bool
	go func() { second <- f.WithLock(func() error { entered.Store(true); return nil }) }()
	if entered.Load() {
		t.Error("two at a time")
	}
	<-inside
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil || !entered.Load() {
		t.Errorf("the second one: %v", err)
	}
}
