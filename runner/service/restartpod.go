// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"

	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/unit"
)

// RestartPod restarts a pod through its unit, which takes the units of its containers along, and
// starts those that were made in it by hand.
func (e *Engine) RestartPod(ctx context.Context, p pod.Record) error {
	name := e.Pods.Status(p).Unit
	if name == "" {
		name = p.Unit
	}
	if name != "" && (p.Unit != "" || e.podRuns(p)()) {
		units, err := e.memberUnits(p) // before: those of unit files are made anew
		if err != nil {
			return err
		}
		members, err := e.Pods.Members(p)
		if err != nil {
			return err
		}
		if err := e.RestartUnit(ctx, name); err != nil && !e.podComes(ctx, p, name) {
			return errors.Join(err, e.dropUnstarted(ctx, err, members...))
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
// for one more try. It reports whether the pod runs then. Nobody else starts its containers.
func (e *Engine) podComes(ctx context.Context, p pod.Record, name string) bool {
	before := e.Restarts(ctx, name)
	// Without a manager nothing comes.
	_ = e.withManager(ctx, func(m Manager) error {
		_, err := await(ctx, m, name, lockWait, func(u unit.Properties) bool { return !starts(u) || u.Restarts > before+1 })
		return err
	})
	return e.podRuns(p)()
}

// memberUnits are the units of a pod's containers.
func (e *Engine) memberUnits(p pod.Record) ([]string, error) {
	members, err := e.Pods.Members(p)
	if err != nil {
		return nil, err
	}
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
