// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/unit"
)

// recheck has a container that runs checked as its record says now. What its checks have come to stays, where
// it had some; a new start-up check waits for the next start.
func (e *Engine) recheck(ctx context.Context, r container.Record, s container.Status) error {
	files := e.Containers.HealthFiles(r.ID)
	plan, err := files.Plan()
	before := &Checks{plan: plan, files: files, containers: e.Containers, connect: e.Connect, program: e.Program, environ: e.Environ, event: e.Event}
	switch {
	case errors.Is(err, health.ErrNone) && r.Health == nil:
		return nil
	case errors.Is(err, health.ErrNone):
		return e.beginChecks(ctx, r, s)
	case err != nil:
		return err
	case r.Health == nil:
		if err := before.files.WithLock(before.files.Remove); err != nil {
			return err
		}
		return before.stopTimer(ctx, before.plan.Timer) // a clock finds nothing left to check
	}
	after := *before
	after.plan.Config = *r.Health
	var had, has health.Check
	err = before.files.WithLock(func() error {
		state, err := before.files.State()
		if err != nil || state == nil {
			return err
		}
		had, has = state.Current(before.plan.Config), state.Current(after.plan.Config)
		return before.files.Replan(after.plan)
	})
	switch {
	case err != nil:
		return err
	case had.Interval == has.Interval && had.Timeout == has.Timeout:
		return nil // the timer knows of these two only
	case before.plan.Unit == "" && had.Interval > 0:
		return nil // the clock asks each time
	case has.Interval == 0:
		after.plan.Timer = ""
		err = after.files.Replan(after.plan)
	default:
		after.plan.Waits = false // the unit is up
		err = after.repeat(ctx, has.Interval)
	}
	return errors.Join(err, before.stopTimer(ctx, before.plan.Timer))
}

// beginChecks begins with the checks of a container that runs and had none.
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
		if err != nil || p.ActiveState != "active" {
			own.Name = ""
		}
	}
	c := e.checksOf(r)
	c.plan.Unit, c.plan.Journal = own.Name, own.JournalFields(e.User.Rootless())
	if err := c.files.WithLock(func() error { return c.files.Begin(c.plan, s.StartedAt) }); err != nil {
		return err
	}
	return c.repeat(ctx, 0)
}

// stopTimer ends a timer that another one has taken the place of; empty is none.
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
