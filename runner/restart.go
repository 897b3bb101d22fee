// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

func newRestartCommand(e *env) *cobra.Command {
	var sel selection
	var patience patience
	cmd := &cobra.Command{
		Use:               "restart [flags] CONTAINER...",
		Short:             "Restart containers through their units",
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.open(ctx)
			if err != nil {
				return err
			}
			records, err := sel.resolve(x, args)
			return forEach(e, records, err, nameOf, func(r container.Record) error {
				return x.Restart(ctx, r, patience.or(x.StopTimeoutOf(r)))
			})
		},
	}
	sel.flags(cmd, "Restart")
	patience.flag(cmd)
	_ = cmd.Flags().MarkHidden("ignore")
	return cmd
}
