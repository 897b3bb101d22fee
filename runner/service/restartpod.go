// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

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
		if err := e.RestartUnit(ctx, name); err != nil && !e.podComes(ctx, p, name) {
			return err
		}
		if err := e.membersSettled(ctx, p); err != nil {
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

// membersSettled waits until no unit of the pod's containers is about to start. When the manager
// restarts a pod's unit, it also restarts the running units that are bound to it, but its answer is
// only about the pod's.
func (e *Engine) membersSettled(ctx context.Context, p pod.Record) error {
	members, err := e.Pods.Members(p)
	if err != nil {
		return err
	}
	return e.withManager(ctx, func(m Manager) error {
		for _, r := range members {
			if _, err := await(ctx, m, serviceName(r), lockWait, func(p unit.Properties) bool { return !starts(p) }); err != nil {
				return err
			}
		}
		return nil
	})
}
