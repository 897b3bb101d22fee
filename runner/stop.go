// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

func newStopCommand(e *env) *cobra.Command {
	var sel selection
	var patience patience
	cmd := &cobra.Command{
		Use:   "stop [flags] CONTAINER...",
		Short: "Stop containers",
		Long: `Stop containers: the stop signal, some time, then SIGKILL.

A container that belongs to a systemd unit is stopped through its unit, so that
Restart= does not start it again.`,
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			records, err := sel.resolve(x, args)
			return forEach(e, records, err, nameOf, func(r container.Record) error {
				return x.Stop(cmd.Context(), r, patience.or(x.StopTimeoutOf(r)))
			})
		},
	}
	sel.flags(cmd, "Stop")
	patience.flag(cmd)
	return cmd
}
