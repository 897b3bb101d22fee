// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

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
				return e.restart(ctx, x, r, patience.or(r.StopTimeout(x.stopTimeout())))
			})
		},
	}
	sel.flags(cmd, "Restart")
	patience.flag(cmd)
	_ = cmd.Flags().MarkHidden("ignore")
	return cmd
}

func (e *env) restart(ctx context.Context, x *engines, r container.Record, d time.Duration) error {
	s, err := x.Status(r.ID)
	if err != nil {
		return err
	}
	name := s.Unit
	if name == "" {
		name = r.Unit
	}
	if name != "" {
		return e.within(ctx, x, r, d, func() error { return e.restartUnit(ctx, name) })
	}
	if err := x.Stop(ctx, r, d); err != nil {
		return err
	}
	return e.startService(ctx, x, r)
}
