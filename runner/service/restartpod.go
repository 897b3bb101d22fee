// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/unit"
)

// RestartPod restarts a pod through its unit, which takes the units of its containers along, and
// starts those that were made in it by hand.
func (e *Engine) RestartPod(ctx context.Context, p pod.Record) error {
	before := e.Pods.Status(p)
	name := cmp.Or(before.Unit, p.Unit)
	if name != "" && (p.Unit != "" || before.InfraPID != 0) {
		members, err := e.Pods.Members(p) // before: those of unit files are made anew
		if err != nil {
			return err
		}
		units, err := e.memberUnits(members)
		if err != nil {
			return err
		}
		if err := e.RestartUnit(ctx, name); err != nil {
			now, comes := e.podComes(ctx, p, name, before)
			if !comes {
				return errors.Join(err, e.dropUnstarted(ctx, err, members...))
			}
			p = now
		}
		if err := e.unitsSettled(ctx, units); err != nil {
			return err
		}
	} else {
		if err := e.StopPod(ctx, p, pod.OwnTimes); err != nil {
			return err
		}
		if err := e.StartPod(ctx, p); err != nil {
			return err
		}
	}
	return e.StartMembers(ctx, p)
}

// podComes waits where the start of a pod's unit has failed and the manager tries it again by itself:
// for one more try. It returns the pod as it is then, which a unit file makes anew, and reports
// whether an infra process runs that did not before: a restart that is refused leaves the old one.
// Nobody else starts the pod's containers.
func (e *Engine) podComes(ctx context.Context, p pod.Record, name string, before pod.Status) (pod.Record, bool) {
	tries := e.Restarts(ctx, name)
	// Without a manager nothing comes.
	_ = e.withManager(ctx, func(m Manager) error {
		_, err := await(ctx, m, name, lockWait, func(u unit.Properties) bool { return !starts(u) || u.Restarts > tries+1 })
		return err
	})
	p, err := e.Pods.LookupExact(p.Name)
	if err != nil {
		return p, false
	}
	now := e.Pods.Status(p)
	return p, now.InfraPID != 0 && (now.InfraPID != before.InfraPID || now.StartTicks != before.StartTicks)
}

// memberUnits are the units of a pod's containers.
func (e *Engine) memberUnits(members []container.Record) ([]string, error) {
	var units []string
	for _, r := range members {
		s, err := e.Containers.Status(r.ID)
		if err != nil {
			return nil, err
		}
		units = append(units, cmp.Or(s.Unit, r.Unit, serviceName(r)))
	}
	return units, nil
}

// unitsSettled waits until none of the units is about to start. When the manager restarts a pod's
// unit, it also restarts the running units that are bound to it, but its answer is only about the
// pod's.
func (e *Engine) unitsSettled(ctx context.Context, units []string) error {
	return e.withManager(ctx, func(m Manager) error {
		for _, name := range units {
			if _, err := await(ctx, m, name, lockWait, func(p unit.Properties) bool { return !starts(p) }); err != nil {
				return err
			}
		}
		return nil
	})
}
