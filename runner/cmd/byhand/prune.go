// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewPrune makes podunit container prune.
func NewPrune(e *cli.Env) *cobra.Command {
	var force bool
	var filters []string
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove all containers that do not run",
		Long: `Remove all containers that do not run, and print their IDs. One whose unit is about to start it
again stays. What starts have left that were killed goes, too.

Filters: those of podunit ps.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				yes, err := e.Confirm("WARNING! This will remove all non running containers.")
				if err != nil || !yes {
					return err
				}
			}
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := Prune(cmd.Context(), x, filters)
			for _, id := range gone {
				fmt.Fprintln(e.Stdout, id)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	cmd.Flags().StringArrayVar(&filters, "filter", nil, "only containers that match `KEY=VALUE`")
	return cmd
}

// Prune removes all containers that do not run and match the filters, and returns their IDs. Their
// anonymous volumes stay, as with podman. What killed runners have left of others goes as well.
func Prune(ctx context.Context, x *service.Engine, filters []string) (gone []string, err error) {
	match, err := view.ContainerFilters(filters, x.Find)
	if err != nil {
		return nil, err
	}
	errs := []error{x.Containers.SweepOrphans(ctx), x.Containers.SweepNames()}
	rows, err := view.Containers(x, false)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	for _, row := range rows {
		if row.State != string(container.Created) && row.State != string(container.Exited) || !match(row) {
			continue
		}
		r, err := x.Containers.Lookup(row.ID)
		if errors.Is(err, container.ErrNotFound) {
			continue // somebody else was first
		}
		if err == nil {
			err = x.Remove(ctx, r, service.Removal{Timeout: x.StopTimeoutOf(r)})
		}
		if service.InUse(err) {
			continue // it has been started since
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		gone = append(gone, row.ID)
	}
	return gone, errors.Join(errs...)
}
