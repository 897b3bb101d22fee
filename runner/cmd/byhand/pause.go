// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"slices"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewPause makes podunit pause.
func NewPause(e *cli.Env) *cobra.Command {
	return freezer(e, "pause", "Have all processes of containers stand still",
		func(x *service.Engine, r container.Record) bool { return frozen(x, r, false) },
		func(ctx context.Context, x *service.Engine, r container.Record) error { return x.Pause(ctx, r) })
}

// NewUnpause makes podunit unpause.
func NewUnpause(e *cli.Env) *cobra.Command {
	return freezer(e, "unpause", "Have the processes of paused containers go on",
		func(x *service.Engine, r container.Record) bool { return frozen(x, r, true) },
		func(_ context.Context, x *service.Engine, r container.Record) error { return x.Unpause(r) })
}

// frozen reports whether a container runs and its processes are frozen, or not frozen, as want
// says.
func frozen(x *service.Engine, r container.Record, want bool) bool {
	s, err := x.Containers.Status(r.ID)
	return err == nil && s.PID != 0 && cgroup.Frozen(s.Cgroup) == want
}

// freezer makes one of the two verbs. all selects the containers that --all means.
func freezer(e *cli.Env, verb, short string, fits func(*service.Engine, container.Record) bool, do func(context.Context, *service.Engine, container.Record) error) *cobra.Command {
	var sel cli.Selection
	cmd := &cobra.Command{
		Use:               verb + " [flags] CONTAINER...",
		Short:             short,
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			all, err := chosen(x, sel, args)
			if sel.All || len(sel.Filters) > 0 {
				all = slices.DeleteFunc(all, func(m meant) bool { return !fits(x, m.record) })
			}
			return forEach(e, all, err, func(r container.Record) error { return do(cmd.Context(), x, r) })
		},
	}
	sel.Flags(cmd, verb)
	sel.FilterFlag(cmd)
	_ = cmd.Flags().MarkHidden("ignore")
	return cmd
}
