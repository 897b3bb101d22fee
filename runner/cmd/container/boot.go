// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/spf13/cobra"
)

// NewBoot makes podunit boot, which podunit-restart.service runs: it starts what is to run after a
// boot.
func NewBoot(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:    "boot",
		Short:  "Start the containers and the pods of plays that were made by hand and are to run after a boot",
		Hidden: true,
		Args:   cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			x, err := e.OpenToRun(ctx)
			if err != nil {
				return err
			}
			played, err := play.New(x).Boot(ctx)
			return errors.Join(err, x.Boot(ctx, played || err != nil))
		},
	}
}
