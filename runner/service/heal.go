// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podunit/podunit/runner/container"
)

// healWait is how long a look at containers waits for who is at work on one of them.
const healWait = time.Second

// Heal gives a process that copies their lines, and watches their networks, to containers that have
// lost theirs: somebody has killed it and its guard at once. A container that another runner works
// on just now is left to the next look. It asks the manager only if there is such a container.
func (e *Engine) Heal(ctx context.Context) error {
	unwatched, err := e.Containers.AllUnwatched()
	if err != nil || len(unwatched) == 0 {
		return err
	}
	var errs []error
	for _, r := range unwatched {
		err := e.withLock(ctx, healWait, r.Name, func(*container.Lock) error { return e.heal(ctx, r) })
		if err != nil && !errors.Is(err, container.ErrBusy) {
			errs = append(errs, fmt.Errorf("container %s has no log until it is restarted, for podunit-log was killed: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) heal(ctx context.Context, r container.Record) error {
	s, err := e.Containers.Status(r.ID)
	if err != nil || s.PID == 0 {
		return err
	}
	own, err := e.unitOf(s.PID)
	if err != nil {
		return err
	}
	// As for an exec: from a shell's cgroup, no process can be started in another one. A clock of
	// health checks is in the container's own unit.
	if !e.InService() && e.User.Rootless() && own.Cgroup != e.Own.Cgroup {
		if _, err := e.ownScope(ctx, &r, ""); err != nil {
			return err
		}
	}
	fields := own.JournalFields(e.User.Rootless())
	said, err := e.Containers.Watch(r, fields)
	if said != "" && e.Tell != nil {
		e.Tell(fields, said)
	}
	return err
}

// Unwatched tells whether a container, by its whole ID, is one for Heal. It opens no storage.
func Unwatched(c Config, id string) bool { return running(c).Unwatched(id) }
