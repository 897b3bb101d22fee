// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
)

// Rename gives a container another name. A running container keeps the name of its service until it
// is removed. The container of a unit file is refused: it has its name from the file and would get
// it again at the next start.
func (e *Engine) Rename(ctx context.Context, r container.Record, name string) error {
	if r.Unit != "" {
		return hint.With(fmt.Errorf("container %s has its name from %s", r.Name, r.Unit), "ContainerName= in its file gives another")
	}
	return e.WithLock(ctx, r.Name, func(old *container.Lock) error {
		err := e.WithLock(ctx, name, func(*container.Lock) error {
			if _, err := e.Containers.LookupExact(name); !errors.Is(err, container.ErrNotFound) {
				return errors.Join(err, fmt.Errorf("container %s: %w", name, container.ErrNameInUse))
			}
			if _, err := e.Pods.LookupExact(name); !errors.Is(err, pod.ErrNotFound) {
				return errors.Join(err, fmt.Errorf("the name %s is taken by a pod: %w", name, container.ErrNameInUse))
			}
			now, err := e.Containers.Lookup(r.ID)
			if err != nil {
				return err
			}
			s, err := e.Containers.Status(r.ID)
			if err != nil {
				return err
			}
			service := serviceName(now)
			if s.PID != 0 && s.Unit != "" {
				now.Service = s.Unit
			}
			if err := e.Containers.Rename(now, name); err != nil {
				return err
			}
			if s.PID == 0 && s.Unit == service {
				e.forgetUnit(ctx, service) // one that failed, which nobody would look for any more
			}
			now.Name = name
			e.Containers.Tell(now, "rename")
			return nil
		})
		if err != nil {
			return err
		}
		return old.Drop()
	})
}
