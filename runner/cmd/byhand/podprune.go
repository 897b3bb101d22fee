// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewPodPrune makes podunit pod prune.
func NewPodPrune(e *cli.Env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove all pods that have ended, with their containers",
		Args:  cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				yes, err := e.Confirm("WARNING! This will remove all stopped/exited pods..")
				if err != nil || !yes {
					return err
				}
			}
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := PrunePods(cmd.Context(), x)
			for _, id := range gone {
				fmt.Fprintln(e.Stdout, id)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}

// PrunePods removes all pods that have ended and returns their IDs. It completes removals that were
// killed.
func PrunePods(ctx context.Context, x *service.Engine) (gone []string, err error) {
	rows, err := view.Pods(x, false)
	if err != nil {
		return nil, err
	}
	errs := []error{x.Pods.Sweep(ctx)}
	for _, row := range rows {
		if row.Status != "Exited" && row.Status != "Stopped" {
			continue
		}
		p, err := x.Pods.Lookup(row.ID)
		if errors.Is(err, pod.ErrNotFound) {
			continue // somebody else was first
		}
		if err == nil {
			err = x.RemovePod(ctx, p, false, pod.OwnTimes)
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
