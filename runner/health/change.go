// SPDX-License-Identifier: Apache-2.0

package health

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/spec"
)

// Change returns the checks of a container after podunit update: apply writes what changes into the
// flags that the checks were made of. checks is nil if the container has none, and the result is
// nil if none is left. ready says that the container's start waits for its health.
func Change(c *Config, ready bool, apply func(*spec.Container)) (*Config, error) {
	asked := c.asked()
	if ready {
		asked.SdNotify = "healthy"
	}
	apply(asked)
	if c == nil && asked.Health.Test == nil {
		return nil, fmt.Errorf("%w, and nothing of it can be changed: give --health-cmd", ErrNone)
	}
	if s := asked.StartupHealth; s != nil && s.Test == nil {
		return nil, errors.New("there is no check at the start, and nothing of it can be changed: give --health-startup-cmd")
	}
	changed, err := Resolve(asked, nil)
	if changed != nil && c != nil {
		changed.Delayed = c.Delayed
	}
	return changed, err
}

// asked returns the flags that would make the checks in c.
func (c *Config) asked() *spec.Container {
	asked := &spec.Container{Health: &spec.HealthCheck{}}
	if c == nil {
		return asked
	}
	asked.Health = c.Regular.asked()
	if c.Startup != nil {
		asked.StartupHealth = c.Startup.asked()
	}
	asked.OnUnhealthy = c.OnFailure
	count, size := uint(c.MaxLogCount), uint(c.MaxLogSize)
	asked.HealthLog = spec.HealthLog{Destination: c.LogDestination, Count: &count, Size: &size}
	return asked
}

func (c Check) asked() *spec.HealthCheck {
	retries, successes := uint(c.Retries), uint(c.Successes)
	return &spec.HealthCheck{
		Test: c.Test, Interval: &c.Interval, Timeout: &c.Timeout, StartPeriod: &c.StartPeriod, Retries: &retries, Successes: &successes,
	}
}
