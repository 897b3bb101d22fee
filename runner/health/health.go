// SPDX-License-Identifier: Apache-2.0

// Package health models the health of a container: its checks, and the status that follows from
// their results. The rules (state.go) are pure; the state lies in the container's runtime
// directory, a tmpfs, and ends with it (files.go). How a check is run is package container's
// affair, when and what follows package service's.
//
// The words, the defaults and the rules are podman's, see podman-healthcheck-run(1), except for these:
// a start-up check shows healthy only when it has passed as often as it must, its own time limit counts, and a
// check that goes beyond its limit is killed with all that it has started.
package health

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/spec"
)

// A Check is a command that is run again and again.
type Check struct {
	// Test is what to run: spec.TestExec and words, or spec.TestShell and a line for /bin/sh.
	Test []string
	// Interval is the time from the end of a run to the next one; zero means that
	// it runs only when somebody asks for it.
	Interval time.Duration
	// Timeout ends a run, which then counts as a failure.
	Timeout time.Duration
	// Retries is how many failures in a row make a container unhealthy. Of a start-up
	// check it is how many failures in all restart it; zero means never.
	Retries int
	// StartPeriod counts from the container's start; failures in it do not count.
	StartPeriod time.Duration `json:",omitempty"`
	// Successes is how often a start-up check must succeed, in a row or not.
	Successes int `json:",omitempty"`
}

// Command is what is executed in the container.
func (c Check) Command() []string {
	if len(c.Test) == 0 {
		return nil
	}
	switch c.Test[0] {
	case spec.TestExec:
		return c.Test[1:]
	case spec.TestShell:
		return []string{"/bin/sh", "-c", strings.Join(c.Test[1:], " ")}
	}
	return c.Test
}

// Config is all that is known about the checks of a container before it starts.
type Config struct {
	Regular Check
	// Startup runs in the place of the regular check until it has passed; nil if there is none.
	Startup *Check `json:",omitempty"`
	// OnFailure is what to do each time that a check finds the container unhealthy: kill, restart, stop or nothing.
	OnFailure string
	// Delayed says that no check runs in the start period, as for the probes of
	// Kubernetes' YAML, where that is initialDelaySeconds.
	Delayed bool `json:",omitempty"`
	// LogDestination is local, events_logger or a directory, which then has the log as a file, too.
	LogDestination string
	// MaxLogCount is how many results are kept, and MaxLogSize how many bytes of the
	// output of each; zero means all.
	MaxLogCount, MaxLogSize int
}

// DelayedAnnotation marks, if it is true, a container of Kubernetes' YAML, whose probes begin after the start period.
const DelayedAnnotation = "io.podman.annotations.kube.health.check"

// Where the log goes, if it is not a directory.
const (
	LogLocal  = "local"
	LogEvents = "events_logger"
)

// ErrNone says that the container has no health check.
var ErrNone = errors.New("it has no health check")

// ErrStopped says that the container is not running, or ended during the wait for its health.
var ErrStopped = errors.New("container is not running")

// Resolve joins what was asked for, what the image says, which is nil if it says nothing, and the defaults. It is nil
// if there is no check. With a command of its own a container takes nothing from its image; without one it takes the
// image's check, less what was asked for. Source: podman-run(1), --health-cmd.
func Resolve(c *spec.Container, img *spec.HealthCheck) (*Config, error) {
	var asked spec.HealthCheck
	if c.Health != nil {
		asked = *c.Health
	}
	if asked.Test == nil && img != nil {
		asked = spec.HealthCheck{
			Test:        img.Test,
			Interval:    first(asked.Interval, img.Interval),
			Timeout:     first(asked.Timeout, img.Timeout),
			StartPeriod: first(asked.StartPeriod, img.StartPeriod),
			Retries:     first(asked.Retries, img.Retries),
		}
	}
	if len(asked.Test) == 0 || asked.None() {
		return nil, needsCheck(c)
	}
	config := &Config{
		Regular: Check{
			Test:        asked.Test,
			Interval:    or(asked.Interval, spec.HealthInterval),
			Timeout:     or(asked.Timeout, spec.HealthTimeout),
			StartPeriod: or(asked.StartPeriod, 0),
			Retries:     int(or(asked.Retries, spec.HealthRetries)),
		},
		OnFailure:      c.OnUnhealthy,
		Delayed:        c.Annotations[DelayedAnnotation] == "true",
		LogDestination: LogLocal,
		MaxLogCount:    int(or(c.HealthLog.Count, spec.HealthLogCount)),
		MaxLogSize:     int(or(c.HealthLog.Size, spec.HealthLogSize)),
	}
	if c.HealthLog.Destination != "" {
		config.LogDestination = c.HealthLog.Destination
	}
	if s := c.StartupHealth; s != nil && s.Test != nil {
		config.Startup = &Check{
			Test:      s.Test,
			Interval:  or(s.Interval, spec.HealthInterval),
			Timeout:   or(s.Timeout, spec.HealthTimeout),
			Retries:   int(or(s.Retries, 0)),
			Successes: int(or(s.Successes, spec.HealthSuccesses)),
		}
	}
	return config, nil
}

// needsCheck is the error for a flag that makes sense only with a check.
func needsCheck(c *spec.Container) error {
	var what string
	switch {
	case c.SdNotify == "healthy":
		what = "--sdnotify healthy"
	case c.OnUnhealthy != "":
		what = "--health-on-failure " + c.OnUnhealthy
	case c.StartupHealth != nil && c.StartupHealth.Test != nil:
		what = "--health-startup-cmd"
	default:
		return nil
	}
	return fmt.Errorf("%s needs a health check, and the image has none: give --health-cmd", what)
}

// first returns the first value that is set.
func first[T any](all ...*T) *T {
	for _, p := range all {
		if p != nil {
			return p
		}
	}
	return nil
}

// or returns the value if it is set, else the default.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
