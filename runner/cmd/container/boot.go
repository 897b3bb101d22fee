// SPDX-License-Identifier: Apache-2.0

package container

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewBoot makes podunit boot, which podunit-restart.service runs: it starts what is to run after a
// boot.
func NewBoot(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:    "boot",
		Short:  "Start containers whose restart policy is always, or unless-stopped and that nobody has stopped",
		Hidden: true,
		Args:   cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			x, err := e.OpenToRun(ctx)
			if err != nil {
				return err
			}
			return x.Boot(ctx)
		},
	}
}
