// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"

	"github.com/podunit/podunit/runner/pod"
)

// RestartPod restarts a pod through its unit, which takes the units of its containers along, and
// starts those that were made in it by hand.
func (e *Engine) RestartPod(ctx context.Context, p pod.Record) error {
	unit := e.Pods.Status(p).Unit
	if unit == "" {
		unit = p.Unit
	}
	if unit != "" && (p.Unit != "" || e.podRuns(p)()) {
		if err := e.RestartUnit(ctx, unit); err != nil {
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
