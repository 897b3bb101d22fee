// SPDX-License-Identifier: Apache-2.0

package container

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

// NewRestart makes podunit restart.
func NewRestart(e *cli.Env) *cobra.Command {
	var sel cli.Selection
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:               "restart [flags] CONTAINER...",
		Short:             "Restart containers through their units",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.Open(ctx)
			if err != nil {
				return err
			}
			if sel.Running && len(args) == 0 && !sel.Latest {
				sel.All = true
			}
			records, err := sel.Resolve(x, args)
			return cli.ForEach(e, records, err, sel.Given, func(r container.Record) error {
				if err := x.Restart(ctx, r, timeout.Or(x.StopTimeoutOf(r))); err != nil {
					return err
				}
				x.Containers.Tell(r, "restart")
				return nil
			})
		},
	}
	sel.Flags(cmd, "Restart")
	sel.FilterFlag(cmd)
	cmd.Flags().BoolVar(&sel.Running, "running", false, "all containers that run")
	timeout.Flag(cmd)
	_ = cmd.Flags().MarkHidden("ignore")
	return cmd
}
