// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/spec"
)

// Change is what a container gets other than it was made with.
type Change struct {
	// Apply writes all of it into what the container asks for, and nothing else.
	Apply func(*spec.Container)
	// Restarts says that the restart policy changes. The service of a running container keeps the
	// policy that it was started with.
	Restarts bool
	// Checks says that something about the health checks changes.
	Checks bool
}

// Update changes a container, at once and for each start to come. What a unit file makes is made
// anew at the next start, as the file says.
func (e *Engine) Update(ctx context.Context, r container.Record, c Change) error {
	return e.WithLock(ctx, r.Name, func(*container.Lock) error {
		now, err := e.Containers.Lookup(r.ID)
		if err != nil {
			return err
		}
		s, err := e.Containers.Status(r.ID)
		if err != nil {
			return err
		}
		if c.Restarts && now.Unit == "" && now.Spec.Remove {
			return hint.With(fmt.Errorf("--restart: the container %s was made with --rm and goes with its end", now.Name), "make it again without --rm")
		}
		if c.Restarts && now.Unit != "" {
			return hint.With(fmt.Errorf("--restart: the container %s is made by %s and goes with its end", now.Name, now.Unit), "Restart= in the [Service] section of its file")
		}
		if err := e.Containers.CanNote(now.Name); err != nil {
			return fmt.Errorf("container %s: %w", now.Name, err)
		}
		if c.Checks {
			if now.Health, err = health.Change(now.Health, now.Spec.SdNotify == "healthy", c.Apply); err != nil {
				return fmt.Errorf("container %s: %w", now.Name, err)
			}
			if now.Health != nil {
				if err := canLog(now.Health.LogDestination); err != nil {
					return err
				}
			}
		}
		if s.PID != 0 {
			if err := e.findRuntime(now); err != nil {
				return err
			}
		}
		var given spec.Container // of what the change does not name it has no limits: those stay
		c.Apply(&given)
		warnings, err := e.Containers.Limit(ctx, now, given.Limits)
		for _, w := range warnings {
			e.Warn(w)
		}
		if err != nil {
			return err
		}
		c.Apply(&now.Spec)
		if err := e.Containers.Note(now); err != nil {
			return err
		}
		if c.Checks && s.PID != 0 {
			if err := e.recheck(ctx, now, s); err != nil {
				return err
			}
		}
		switch {
		case now.Unit != "" && c.Checks:
			e.Warn(fmt.Sprintf("%s makes the container as its file says at each start; HealthCmd= and the like in it stay", now.Unit))
		case now.Unit != "":
			e.Warn(fmt.Sprintf("%s makes the container as its file says at each start; MemoryMax= and the like in its [Service] section stay", now.Unit))
		case c.Restarts && s.PID != 0:
			e.Warn("--restart holds from the next start of container " + now.Name)
		}
		e.Containers.Tell(now, "update")
		return nil
	})
}
