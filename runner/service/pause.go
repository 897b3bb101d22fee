// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
)

// Pause freezes all processes of a running container. Its helpers go on, such as the one that
// copies its log.
func (e *Engine) Pause(ctx context.Context, r container.Record) error {
	s, err := e.Containers.Status(r.ID)
	switch {
	case err != nil:
		return err
	case s.PID == 0:
		return fmt.Errorf("%q is not running, can't pause: %w", r.ID, container.ErrState)
	case cgroup.Frozen(s.Cgroup):
		return fmt.Errorf("%q is already paused: %w", r.ID, container.ErrState)
	}
	if err := cgroup.Freeze(ctx, s.Cgroup); errors.Is(err, cgroup.ErrNoCgroup) {
		return hint.With(fmt.Errorf("pause container %s: %w", r.Name, err), "one that runs in a unit, or with a user manager there, has one")
	} else if err != nil {
		return fmt.Errorf("pause container %s: %w", r.Name, err)
	}
	e.Containers.Tell(r, "pause")
	return nil
}

// Unpause thaws the processes of a paused container.
func (e *Engine) Unpause(r container.Record) error {
	s, err := e.Containers.Status(r.ID)
	switch {
	case err != nil:
		return err
	case s.PID == 0 || !cgroup.Frozen(s.Cgroup):
		return fmt.Errorf("%q is not paused, can't unpause: %w", r.ID, container.ErrState)
	}
	if err := cgroup.Thaw(s.Cgroup); err != nil {
		return err
	}
	e.Containers.Tell(r, "unpause")
	return nil
}
