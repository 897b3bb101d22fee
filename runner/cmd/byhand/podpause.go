// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewPodPause makes podunit pod pause.
func NewPodPause(e *cli.Env) *cobra.Command {
	return podVerb(e, "pause", "Have all processes of the containers of pods stand still", func(ctx context.Context, x *service.Engine, p pod.Record) error {
		members, err := running(x, p)
		errs := []error{err}
		for _, r := range members {
			if frozen(x, r, false) {
				errs = append(errs, x.Pause(ctx, r))
			}
		}
		return errors.Join(errs...)
	})
}

// NewPodUnpause makes podunit pod unpause.
func NewPodUnpause(e *cli.Env) *cobra.Command {
	return podVerb(e, "unpause", "Have the processes of paused pods go on", func(_ context.Context, x *service.Engine, p pod.Record) error {
		members, err := running(x, p)
		errs := []error{err}
		for _, r := range members {
			if s, serr := x.Containers.Status(r.ID); serr == nil && cgroup.Frozen(s.Cgroup) {
				errs = append(errs, x.Unpause(r))
			}
		}
		return errors.Join(errs...)
	})
}
