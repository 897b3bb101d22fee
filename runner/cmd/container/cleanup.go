// SPDX-License-Identifier: Apache-2.0

package container

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewCleanup makes podunit cleanup, the ExecStopPost= of a container started by hand: it notes how
// the container ended and frees what only a running one needs.
func NewCleanup(e *cli.Env) *cobra.Command {
	return &cobra.Command{
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
}
