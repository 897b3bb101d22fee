// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/unit"
)

// repeat starts a timer for the check whose turn it is, which first runs after a pause, and stops
// the timer that there was until now.
func (c *Checks) repeat(ctx context.Context, first time.Duration) error {
	if c.plan.ID == "" {
		return nil // the container has none
	}
	// The timer gets a new name each time: that of the last start may still be on its way out.
	number := strconv.FormatInt(time.Now().UnixNano(), 36)
	var old, timer, clock string
	var check health.Check
	err := c.files.WithLock(func() error {
		plan, err := c.files.Plan()
		if err != nil {
			return err
		}
		s, err := c.files.State()
		if err != nil || s == nil {
			return err
		}
		// Since the plan was read, podunit update may have changed all of it but the unit.
		c.plan.Config, old = plan.Config, plan.Timer
		switch check = s.Current(plan.Config); {
		case check.Interval == 0:
		case c.plan.Unit == "":
			clock = number
		default:
			timer = fmt.Sprintf("podunit-health-%s-%s.timer", c.plan.ID[:12], number)
		}
		plan.Timer, plan.Clock, plan.Waits = timer, clock, c.plan.Waits
		c.plan.Timer, c.plan.Clock = timer, clock
		return c.files.Replan(plan)
	})
	switch {
	case errors.Is(err, health.ErrNone):
		return nil // nothing is left to check
	case err != nil:
		return err
	case clock != "":
		return c.startClock(first)
	case timer != "":
		err = c.startTimer(ctx, first, check)
	}
	if err != nil {
		return errors.Join(err, c.keepTimer(old))
	}
	return c.stopTimer(ctx, old)
}

// keepTimer notes that the old timer is still the one in use, since the plan's new one could not be
// started.
func (c *Checks) keepTimer(old string) error {
	return c.files.WithLock(func() error {
		plan, err := c.files.Plan()
		if err != nil || plan.Timer != c.plan.Timer {
			return err
		}
		plan.Timer, c.plan.Timer = old, old
		return c.files.Replan(plan)
	})
}

// startTimer starts the timer of the plan.
func (c *Checks) startTimer(ctx context.Context, first time.Duration, check health.Check) error {
	m, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("health checks of %s: %w", c.plan.Name, err)
	}
	defer m.Close()
	return m.StartTimer(ctx, c.plan.Timer, unit.Timer{
		Description: "Health checks of " + c.plan.Name,
		First:       first,
		Pause:       check.Interval,
		Command:     []string{c.program, "healthcheck", "run", "--timer", c.plan.ID},
		Environment: OneThread(unit.Environment(c.environ)),
		Limit:       check.Timeout + runMargin,
		BoundTo:     c.plan.Unit,
		Waits:       c.plan.Waits,
	})
}

// OneThread is an environment with which podunit needs less of the processors: a check waits nearly
// all of its time, and more threads would only be made and looked after. Package single says the
// same, when Go has made the first of them. Source: Go's runtime, GOMAXPROCS.
func OneThread(env []string) []string { return append(env, "GOMAXPROCS=1") }

// startClock starts podunit-clock, which runs the checks where no manager takes orders from us: in
// a system unit with User=, and where there is no manager.
func (c *Checks) startClock(first time.Duration) error {
	s, err := c.containers.Status(c.plan.ID)
	if err != nil {
		return err
	}
	// The container may not have begun yet, and a check of it would fail then.
	first = max(first, time.Second)
	// The clock stays in our namespaces, and so do the checks that it runs.
	env := append(OneThread(unit.Environment(c.environ)), c.containers.User.Handed()...)
	for _, kv := range c.environ {
		if strings.HasPrefix(kv, "JOURNAL_STREAM=") {
			env = append(env, kv) // they have our standard error, and are to know what it is: see tell
		}
	}
	cmd := helper.Clock(s.PID, first, c.program, c.plan.ID+"."+c.plan.Clock, env)
	if c.silent {
		cmd.Stderr = nil
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("health checks of %s: %w", c.plan.Name, err)
	}
	return nil
}

// pause is the time until a clock's next run; false means that there is none.
func (c *Checks) pause() (time.Duration, bool) {
	s, err := c.files.State()
	if err != nil || s == nil {
		return 0, false
	}
	if c.handed { // the regular check runs at once
		return 0, true
	}
	d := s.Current(c.plan.Config).Interval
	return d, d > 0
}

// runMargin is by how much systemd's patience with a run exceeds our own, which must end first.
const runMargin = 30 * time.Second

// RunForTimer runs a check that nobody waits for. The timer of a container that does not run any
// more, or has another timer by now, is stopped: when systemd restarts a unit, it restarts the
// timers bound to it, too, and the start has made a new one already.
func RunForTimer(ctx context.Context, c Config, id string) error {
	own, err := unit.CurrentUnit(c.Lookup)
	if err != nil {
		return err
	}
	timer := strings.TrimSuffix(own.Name, ".service") + ".timer"
	checks, err := OpenChecks(c, id)
	if err == nil && checks.plan.Timer == timer {
		_, err = checks.Run(ctx, true)
	} else if err == nil {
		err = health.ErrNone
	}
	if ctx.Err() != nil {
		return nil // the unit stops
	}
	if !errors.Is(err, health.ErrNone) && !errors.Is(err, health.ErrStopped) {
		return err
	}
	m, err := Connect(ctx, c.User, c.Lookup)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Ask(ctx, "stop", timer)
}

// RunForClock runs a check for podunit-clock and writes the time until the next one, in
// milliseconds. It writes nothing if there is nothing left to check, or if another clock has taken
// over. clock is the container's ID, a dot and the clock's number.
func RunForClock(ctx context.Context, c Config, clock string, out io.Writer) error {
	id, number, _ := strings.Cut(clock, ".")
	checks, err := OpenChecks(c, id)
	if errors.Is(err, health.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if checks.plan.Clock != number {
		return nil
	}
	_, err = checks.Run(ctx, true)
	if errors.Is(err, health.ErrNone) || errors.Is(err, health.ErrStopped) || ctx.Err() != nil {
		return nil
	}
	// The clock goes on after an error, too: the next run may succeed.
	if pause, again := checks.pause(); again {
		_, werr := fmt.Fprintln(out, pause.Milliseconds())
		err = errors.Join(err, werr)
	}
	return err
}

// handOver has the regular check take the place of the start-up check.
func (c *Checks) handOver(ctx context.Context) error {
	plan, err := c.files.Plan()
	if err != nil {
		return err
	}
	c.handed = true
	if plan.Timer == "" { // none of its own accord: the start waits for it, or somebody checks by hand
		return nil
	}
	c.plan.Waits = plan.Waits
	return c.repeat(ctx, 0) // the old timer's service may be us; that ends by itself
}

// readyPoll is how often a start that waits looks whether the container has ended, or is healthy
// because somebody else has checked it.
const readyPoll = 250 * time.Millisecond

// stopPoll is how often a start that waits asks the manager whether it is to go on.
const stopPoll = time.Second

// stopping reports whether the manager is stopping the unit, for example because its time to start
// is over. Then the manager sends SIGTERM to the container's first process, which may ignore it as
// process 1 does by default, and nothing to us.
func (c *Checks) stopping(ctx context.Context) bool {
	if c.plan.Unit == "" {
		return false
	}
	m, err := c.connect(ctx)
	if err != nil {
		return false // the manager goes on by itself
	}
	defer m.Close()
	p, err := m.Properties(ctx, c.plan.Unit)
	return err == nil && p.ActiveState == "deactivating"
}

// ended is the error of a container that has ended too early.
func (c *Checks) ended(s health.State) error {
	return fmt.Errorf("container %s ended before it was healthy%s", c.plan.Name, lastWords(s))
}

// givenUp is the error of a start that is given up. Where the container has ended, that is what the
// error says: the manager sends SIGTERM to all that is left of the unit then, and so to us.
func (c *Checks) givenUp(ctx context.Context, s health.State, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if running, rerr := c.running(); rerr == nil && !running {
		return c.ended(s)
	}
	return err
}

// awaitReady runs the checks until the container is healthy, and then tells the manager. One that
// ends before is an error, and its unit has failed with its status.
func (c *Checks) awaitReady(ctx context.Context, manager notify.Socket) error {
	_ = manager.Send(notify.Status("waiting until it is healthy")) // only a line
	asked := time.Now()
	for next := asked; ; {
		s, err := c.files.State()
		if err != nil {
			return err
		}
		if s.Status == health.Healthy {
			break
		}
		if running, err := c.running(); err != nil || !running {
			return errors.Join(err, c.ended(*s))
		}
		if time.Since(asked) >= stopPoll {
			if asked = time.Now(); c.stopping(ctx) {
				err := c.containers.Stop(context.WithoutCancel(ctx), c.record(), c.plan.Stop)
				return errors.Join(fmt.Errorf("container %s was stopped before it was healthy%s", c.plan.Name, lastWords(*s)), err)
			}
		}
		check := s.Current(c.plan.Config)
		if wait := time.Until(next); wait > 0 || check.Interval == 0 {
			if wait <= 0 || wait > readyPoll {
				wait = readyPoll
			}
			select {
			case <-ctx.Done():
				return c.givenUp(ctx, *s, context.Cause(ctx))
			case <-time.After(wait):
			}
			continue
		}
		outcome, err := c.Run(ctx, true)
		if err != nil && !errors.Is(err, health.ErrStopped) {
			return c.givenUp(ctx, *s, err)
		}
		if outcome == health.Starting || outcome == health.Unhealthy {
			if s, err = c.files.State(); err == nil {
				_ = manager.Send(notify.Status("not healthy yet" + lastWords(*s)))
			}
		}
		next = time.Now().Add(check.Interval)
	}
	s, err := c.files.State()
	if err != nil {
		return err
	}
	if err := c.repeat(ctx, s.Current(c.plan.Config).Interval); err != nil {
		return err
	}
	return errors.Join(manager.Send(notify.Ready("")...), manager.Barrier(ctx))
}
