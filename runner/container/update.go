// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/spec"
)

// Limit changes the limits of a running container at once; for one that does not run there is
// nothing to do. The warnings name the limits that have no effect.
func (e *Engine) Limit(ctx context.Context, r Record, limits spec.Limits) ([]string, error) {
	s, err := e.Status(r.ID)
	if err != nil || s.PID == 0 {
		return nil, err
	}
	where := bundle.Cgroup{Path: s.Cgroup}
	if s.Cgroup != "" {
		if where.Controllers, err = cgroup.Controllers(s.Cgroup); err != nil {
			return nil, err
		}
		where.Swap = cgroup.LimitsSwap(s.Cgroup)
	}
	change, warnings, err := bundle.Update(limits, where)
	if err != nil || change == nil {
		return warnings, err
	}
	if err := e.Runtime.Update(ctx, r.ID, change); err != nil {
		return warnings, fmt.Errorf("container %s: %w", r.Name, err)
	}
	return warnings, nil
}
