// SPDX-License-Identifier: Apache-2.0

package container

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

// NewStop makes podunit stop.
func NewStop(e *cli.Env) *cobra.Command {
	var sel cli.Selection
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:   "stop [flags] CONTAINER...",
		Short: "Stop containers",
		Long: `Stop containers: the stop signal, some time, then SIGKILL.

A container that belongs to a systemd unit is stopped through its unit, so that
Restart= does not start it again.`,
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			records, err := sel.Resolve(x, args)
			return cli.ForEach(e, records, err, sel.Given, func(r container.Record) error {
				return x.Stop(cmd.Context(), r, timeout.Or(x.StopTimeoutOf(r)))
			})
		},
	}
	sel.Flags(cmd, "Stop")
	sel.FilterFlag(cmd)
	timeout.Flag(cmd)
	return cmd
}
