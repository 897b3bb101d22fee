// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewPrune makes podunit volume prune.
func NewPrune(e *cli.Env) *cobra.Command {
	var (
		force   bool
		filters []string
	)
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove volumes that no container mounts",
		Long:  "Remove volumes that no container mounts, and print their names.\n\nFilters: those of podunit volume ls.",
		Args:  cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				yes, err := e.Confirm("WARNING! This removes all volumes that no container mounts, and what is in them.")
				if err != nil || !yes {
					return err
				}
			}
			list, err := rows(cmd.Context(), e, append(filters, "dangling=true"))
			if err != nil {
				return err
			}
			v, err := open(e)
			if err != nil {
				return err
			}
			for _, r := range list {
				if got, err := v.Get(r.Name); err != nil || got.Foreign {
					continue // it went just now, or is not ours to remove
				}
				if err := v.Remove(r.Name); err != nil {
					return err
				}
				fmt.Fprintln(e.Stdout, r.Name)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&filters, "filter", nil, "only volumes that match `KEY=VALUE`")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}
