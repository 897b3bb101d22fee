// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// First words of HealthCheck.Test. Source: the field Healthcheck of an image's configuration.
const (
	TestNone  = "NONE"      // no check, also where the image has one
	TestExec  = "CMD"       // the words that follow are a command, run as they are
	TestShell = "CMD-SHELL" // the one word that follows is for /bin/sh -c
)

// What a health check has where neither the command line nor the image says anything. Source:
// podman-run(1), --health-interval and those after it.
const (
	HealthInterval  = 30 * time.Second
	HealthTimeout   = 30 * time.Second
	HealthRetries   = 3
	HealthLogCount  = 5
	HealthLogSize   = 500 // bytes
	HealthSuccesses = 1   // of a check at the start
)

// HealthCheck is a command that tells whether a container is well. What is nil was not said:
// then the image's value counts if Test is nil too, and else the default.
type HealthCheck struct {
	// Test is TestNone, TestExec and a command, or TestShell and a text; nil means the image's.
	Test []string `json:",omitempty"`
	// Interval is the time between two checks; zero means that none runs by itself.
	Interval *time.Duration `json:",omitempty"`
	// Timeout is how long a check may take.
	Timeout *time.Duration `json:",omitempty"`
	// StartPeriod is how long failures do not count after the start.
	StartPeriod *time.Duration `json:",omitempty"`
	// Retries is the number of failures in a row that make a container unhealthy. Of a check at
	// the start it is how many failures in all restart the container; zero means never.
	Retries *uint `json:",omitempty"`
	// Successes is how often a check at the start must pass; other checks do not have it.
	Successes *uint `json:",omitempty"`
}

// None reports whether no check is wanted, not even the image's.
func (h *HealthCheck) None() bool { return h != nil && len(h.Test) > 0 && h.Test[0] == TestNone }

// HealthLog is how the results of health checks are kept.
type HealthLog struct {
	// Destination is local, events_logger or the path of a directory; empty means local.
	Destination string `json:",omitempty"`
	// Count is how many results are kept, zero means all; nil means HealthLogCount.
	Count *uint `json:",omitempty"`
	// Size is how many bytes of each output are kept, zero means all; nil means HealthLogSize.
	Size *uint `json:",omitempty"`
}

// ParseHealthTest reads the command of a check: none, a text for a shell, CMD or CMD-SHELL and
// what follows, or a JSON array of words. An empty text means that nothing was said, and gives
// nil. Source: podman-run(1), --health-cmd.
func ParseHealthTest(s string) ([]string, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var words []string
	array := strings.HasPrefix(strings.TrimSpace(s), "[") && json.Unmarshal([]byte(s), &words) == nil
	if !array {
		first, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
		switch strings.ToUpper(first) {
		case TestNone:
			if rest == "" {
				return []string{TestNone}, nil
			}
		case TestExec:
			words = append([]string{TestExec}, strings.Fields(rest)...)
		case TestShell:
			words = []string{TestShell, strings.TrimSpace(rest)}
		}
		if words == nil {
			return []string{TestShell, s}, nil
		}
	}
	if len(words) == 0 {
		return nil, errors.New("the command is missing")
	}
	switch keyword := strings.ToUpper(words[0]); {
	case keyword == TestNone && len(words) == 1:
		return []string{TestNone}, nil
	case keyword == TestExec:
		words = append([]string{TestExec}, words[1:]...)
	case keyword == TestShell:
		words = []string{TestShell, strings.Join(words[1:], " ")}
	case len(words) == 1:
		words = []string{TestShell, words[0]}
	default:
		words = append([]string{TestExec}, words...)
	}
	if len(words) < 2 || words[1] == "" {
		return nil, fmt.Errorf("no command follows %s", words[0])
	}
	return words, nil
}

// ParseHealthInterval reads a duration with its unit; disable is zero.
func ParseHealthInterval(s string) (time.Duration, error) {
	if s == "disable" {
		return 0, nil
	}
	return healthDuration(s)
}

// healthDuration reads a duration with its unit, as every engine wants it of a health check.
func healthDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration", s)
	}
	return d, nil
}

// checkHealth finds what contradicts itself in the health checks of a container.
func (c *Container) checkHealth(add func(string, ...any)) {
	if h := c.Health; h != nil {
		if h.Retries != nil && *h.Retries == 0 {
			add("--health-retries must be 1 or more: it is how many failures make the container unhealthy")
		}
		if h.Timeout != nil && *h.Timeout == 0 {
			add("--health-timeout must be more than 0: no check could pass")
		}
	}
	if s := c.StartupHealth; s != nil {
		switch {
		case s.Test == nil:
			c.warn("--health-startup-interval, -retries, -success and -timeout have no effect without --health-startup-cmd")
		case s.None():
			add("--health-startup-cmd none means nothing: leave it out")
		case c.Health.None():
			add("--health-startup-cmd needs a health check that follows it: give --health-cmd")
		}
		if s.Timeout != nil && *s.Timeout == 0 {
			add("--health-startup-timeout must be more than 0: no check could pass")
		}
	}
	if c.OnUnhealthy != "" && c.Health.None() {
		add("--health-on-failure %s needs a health check: give --health-cmd", c.OnUnhealthy)
	}
	if c.SdNotify == "healthy" && c.Health.None() {
		add("--sdnotify healthy needs a health check: give --health-cmd")
	}
}
