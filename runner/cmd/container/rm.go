// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewRm makes podunit rm.
func NewRm(e *cli.Env) *cobra.Command {
	var sel cli.Selection
	var force, volumes, depend bool
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:   "rm [flags] CONTAINER...",
		Short: "Remove containers",
		Long: `Remove containers.

Exit status: 0 done, 1 a container isn't there, 2 one runs or its namespaces are used by another one, 125
another error.`,
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.OpenToRun(ctx)
			if err != nil {
				return err
			}
			if !x.InService() {
				e.Sweep(ctx, x)
			}
			sel.Force = force
			records, err := sel.Resolve(x, args)
			if depend {
				var derr error
				records, derr = x.WithDependents(records)
				err = errors.Join(err, derr)
			}
			// A container that shares namespaces of another was made after it, and is removed
			// before it.
			slices.SortStableFunc(records, func(a, b container.Record) int { return b.Created.Compare(a.Created) })
			err = cli.ForEach(e, records, err, sel.Given, func(r container.Record) error {
				return x.Remove(ctx, r, service.Removal{Force: force, Volumes: volumes, Timeout: timeout.Or(x.StopTimeoutOf(r))})
			})
			return cli.Removed(err,
				func(err error) bool { return errors.Is(err, container.ErrNotFound) },
				func(err error) bool {
					return errors.Is(err, container.ErrRunning) || errors.As(err, new(service.DependentsError))
				})
		},
	}
	sel.Flags(cmd, "Remove")
	cmd.Flags().StringArrayVar(&sel.Filters, "filter", nil, "only containers that match `KEY=VALUE`, as in podunit ps")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop a running container first")
	cmd.Flags().BoolVar(&depend, "depend", false, "remove those that use their namespaces as well")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "remove its anonymous volumes as well")
	timeout.Flag(cmd)
	return cmd
}
