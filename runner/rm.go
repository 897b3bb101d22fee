// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

func newRmCommand(e *env) *cobra.Command {
	var sel selection
	var force, volumes bool
	var patience patience
	cmd := &cobra.Command{
		Use:               "rm [flags] CONTAINER...",
		Short:             "Remove containers",
		ValidArgsFunction: completeContainers(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.openToRun(ctx)
			if err != nil {
				return err
			}
			sel.ignore = sel.ignore || force
			records, err := sel.resolve(x, args)
			return forEach(e, records, err, nameOf, func(r container.Record) error {
				return x.Remove(ctx, r, service.Removal{Force: force, Volumes: volumes, Timeout: patience.or(x.StopTimeoutOf(r))})
			})
		},
	}
	sel.flags(cmd, "Remove")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop a running container first")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove its anonymous volumes as well")
	patience.flag(cmd)
	return cmd
}

// removeContainer stops and removes a container that is in the way of an image.
func (e *env) removeContainer(ctx context.Context, id string) error {
	x, err := e.open(ctx)
	if err != nil {
		return err
	}
	r, err := x.Containers.Lookup(id)
	if err != nil {
		return err
	}
	return x.Remove(ctx, r, service.Removal{Force: true, Volumes: true, Timeout: x.StopTimeoutOf(r)})
}
