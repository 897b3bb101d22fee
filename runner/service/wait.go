// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/process"
)

// Conditions are the states that Wait can wait for. Source: podman-wait(1), --condition.
var Conditions = []string{"configured", "created", "exited", "healthy", "paused", "running", "stopped", "unhealthy"}

// NoCode is in the place of an exit status where a container has none.
const NoCode = -1

// exitWait is how long it may take from the end of a process until it is known how it ended.
const exitWait = 10 * time.Second

// Wait returns when a container is in one of the states, and its exit status; NoCode for states
// other than exited and stopped. It looks once an interval, but notices the end of the container's
// process at once. A container that is removed meanwhile is a container.ErrNotFound, unless how it
// ended is known. For one that has ended and is waited for to be healthy or unhealthy, nothing else,
// the error is health.ErrStopped.
func (e *Engine) Wait(ctx context.Context, r container.Record, states []string, interval time.Duration) (int, error) {
	end := slices.Contains(states, "exited") || slices.Contains(states, "stopped")
	onlyHealth := !slices.ContainsFunc(states, func(s string) bool { return s != "healthy" && s != "unhealthy" })
	var manager Manager // connected before the end: a unit that goes with it is soon gone
	defer func() {
		if manager != nil {
			manager.Close()
		}
	}()
	for {
		s, err := e.Containers.Status(r.ID)
		if err != nil {
			return NoCode, err
		}
		state, err := e.state(r, s)
		if err != nil {
			return NoCode, err
		}
		switch {
		case state == container.Exited && end:
			return e.codeOf(ctx, r, s)
		case state == container.Exited && onlyHealth:
			return NoCode, fmt.Errorf("container %s: %w", r.Name, health.ErrStopped)
		case slices.Contains(states, string(state)), state == container.Created && slices.Contains(states, "configured"):
			return NoCode, nil
		case state == container.Running && (slices.Contains(states, "healthy") || slices.Contains(states, "unhealthy")):
			h, err := e.Health(r)
			if err != nil {
				return NoCode, err
			}
			switch {
			case h != nil && slices.Contains(states, string(h.Status)):
				return NoCode, nil
			case h == nil && onlyHealth:
				return NoCode, fmt.Errorf("container %s: %w", r.Name, health.ErrNone)
			}
		}
		if end && s.PID != 0 && s.Unit != "" && manager == nil {
			if m, err := e.Connect(ctx); err == nil { // without one, what is noted of the end tells
				manager = m
			}
		}
		p, err := process.Open(s.PID, s.StartTicks)
		if err != nil {
			return NoCode, err
		}
		switch {
		case p == nil && s.PID != 0: // it has ended since we looked
			if end {
				return e.awaitCode(ctx, manager, r, s)
			}
		case p == nil:
			select {
			case <-ctx.Done():
			case <-time.After(interval):
			}
		case p.Wait(ctx, interval):
			p.Close()
			if end {
				return e.awaitCode(ctx, manager, r, s)
			}
		default:
			p.Close()
		}
		if ctx.Err() != nil {
			return NoCode, ctx.Err()
		}
	}
}

// state is where a container is in its life. One that is gone is a container.ErrNotFound.
func (e *Engine) state(r container.Record, s container.Status) (container.State, error) {
	switch {
	case s.PID != 0 && cgroup.Frozen(s.Cgroup):
		return container.Paused, nil
	case s.PID != 0:
		return container.Running, nil
	}
	if _, err := e.Containers.Lookup(r.ID); err != nil {
		return "", err
	}
	exit, err := e.Containers.Exit(r.ID)
	if err != nil {
		return "", err
	}
	if exit != nil || !s.StartedAt.IsZero() {
		return container.Exited, nil
	}
	return container.Created, nil
}

// codeOf returns how a container that does not run ended last. The command that cleans up after it
// may not have noted that yet.
func (e *Engine) codeOf(ctx context.Context, r container.Record, s container.Status) (int, error) {
	x, err := e.Containers.Exit(r.ID)
	switch {
	case err != nil:
		return NoCode, err
	case x != nil && (s.StartedAt.IsZero() || x.StartedAt.Equal(s.StartedAt)):
		return x.Code, nil
	case s.StartedAt.IsZero():
		return NoCode, nil
	}
	m, err := e.Connect(ctx)
	if err != nil {
		return e.awaitCode(ctx, nil, r, s) // without a manager, what is noted tells
	}
	defer m.Close()
	return e.awaitCode(ctx, m, r, s)
}

// awaitCode returns how the process of one start has ended, which may not be noted yet. For a
// container made with --rm the manager can tell, until the unit is gone; m may be nil.
func (e *Engine) awaitCode(ctx context.Context, m Manager, r container.Record, s container.Status) (int, error) {
	for deadline := time.Now().Add(exitWait); ctx.Err() == nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		x, err := e.Containers.Exit(r.ID)
		if err == nil && x != nil && x.StartedAt.Equal(s.StartedAt) {
			return x.Code, nil
		}
		if m != nil && s.Unit != "" {
			if p, err := m.Properties(ctx, s.Unit); err == nil && s.PID != 0 && p.Ended == s.PID {
				return p.ExitCode, nil
			}
		}
		if err != nil {
			if _, gone := e.Containers.Lookup(r.ID); errors.Is(gone, container.ErrNotFound) {
				return NoCode, gone
			}
		}
	}
	return NoCode, errors.Join(ctx.Err(), fmt.Errorf("container %s has ended, and nobody tells how", r.Name))
}
