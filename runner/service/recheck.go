// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/unit"
)

// recheck changes the checks of a running container to what its record says now. The results of
// earlier checks stay; a new start-up check waits for the next start.
func (e *Engine) recheck(ctx context.Context, r container.Record, s container.Status) error {
	c := &Checks{files: e.Containers.HealthFiles(r.ID), containers: e.Containers, connect: e.Connect, program: e.Program, environ: e.Environ, event: e.Event}
	var had, has health.Check
	// A check that runs meanwhile may change the timer, too.
	err := c.files.WithLock(func() (err error) {
		if c.plan, err = c.files.Plan(); err != nil {
			return err
		}
		if r.Health == nil {
			return c.files.Remove()
		}
		state, err := c.files.State()
		if err == nil && state == nil {
			err = health.ErrNone // beginChecks was killed between the two files
		}
		if err != nil {
			return err
		}
		had, has = state.Current(c.plan.Config), state.Current(*r.Health)
		c.plan.Config = *r.Health
		return c.files.Replan(c.plan)
	})
	switch {
	case errors.Is(err, health.ErrNone) && r.Health == nil:
		return nil
	case errors.Is(err, health.ErrNone):
		return e.beginChecks(ctx, r, s)
	case err != nil:
		return err
	case r.Health == nil:
		return c.stopTimer(ctx, c.plan.Timer) // a clock finds nothing left to check
	case had.Interval == has.Interval && had.Timeout == has.Timeout:
		return nil // the timer knows of these two only
	case c.plan.Unit == "" && had.Interval > 0:
		return nil // the clock asks each time
	}
	c.plan.Waits = false // the container runs
	return c.repeat(ctx, has.Interval)
}

// beginChecks starts the checks of a running container that had none.
func (e *Engine) beginChecks(ctx context.Context, r container.Record, s container.Status) error {
	own := unit.Own{Name: s.Unit, User: e.User.Rootless()}
	if s.Unit != "" {
		// Of a system unit with User=, the system's manager takes no orders from us.
		m, err := e.Connect(ctx)
		if err != nil {
			return err
		}
		p, err := m.Properties(ctx, s.Unit)
		m.Close()
		if err != nil {
			return err
		}
		if !p.Exists() {
			own.Name = ""
		}
	}
	c := e.checksOf(r)
	c.silent = true
	c.plan.Unit, c.plan.Journal = own.Name, own.JournalFields(e.User.Rootless())
	if err := c.files.WithLock(func() error { return c.files.Begin(c.plan, s.StartedAt) }); err != nil {
		return err
	}
	return c.repeat(ctx, 0)
}

// stopTimer stops a timer that another one has replaced; an empty name means that there was none.
func (c *Checks) stopTimer(ctx context.Context, timer string) error {
	if timer == "" {
		return nil
	}
	m, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Ask(ctx, "stop", timer)
}
