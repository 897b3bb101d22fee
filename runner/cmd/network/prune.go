// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewPrune makes podunit network prune.
func NewPrune(e *cli.Env) *cobra.Command {
	var (
		force   bool
		filters []string
	)
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove networks that no container is on",
		Long: `Remove networks that no container and no pod is on, running or not, and print their names. The default
network stays.

Filters: label, label!=KEY[=VALUE]; until=TIME.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				if yes, err := e.Confirm("WARNING! This will remove all networks not used by at least one container."); err != nil || !yes {
					return err
				}
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			e.Sweep(cmd.Context(), x)
			list, err := rows(cmd.Context(), e, append(filters, "dangling=true"))
			if err != nil {
				return err
			}
			var faults []error
			for _, r := range list {
				err := x.Networks().Remove(cmd.Context(), r.Name, unused(x))
				switch {
				case errors.As(err, &inUseError{}): // it came into use since
				case err != nil:
					faults = append(faults, err)
				default:
					e.Happened("network", "remove", r.Network.ID, r.Name)
					fmt.Fprintln(e.Stdout, r.Name)
				}
			}
			return errors.Join(faults...)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&filters, "filter", nil, "only networks that match `KEY=VALUE`")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}
