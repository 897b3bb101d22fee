// SPDX-License-Identifier: Apache-2.0

package container

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewCleanup makes podunit cleanup, the ExecStopPost= of a container started by hand: it notes how
// the container ended and frees what only a running one needs.
func NewCleanup(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "cleanup CONTAINER",
		Short:  "Tidy up after a container that ended",
		Hidden: true,
		Args:   cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.OpenToRun(ctx)
			if err != nil {
				return err
			}
			return x.Cleanup(ctx, args[0])
		},
	}
	f := cmd.Flags()
	cli.RefuseShort(f, "all", "a", "false", "the unit of a container tidies up at its end; podunit container prune removes those that have ended")
	cli.RefuseShort(f, "latest", "l", "false", "podunit container cleanup $(podunit ps -lq --no-trunc)")
	cli.Refuse(f, "exec", "", "what exec has begun leaves nothing behind")
	cli.Refuse(f, "rm", "false", "podunit rm CONTAINER")
	cli.Refuse(f, "rmi", "false", "podunit rm CONTAINER, and podunit rmi IMAGE")
	return cmd
}
