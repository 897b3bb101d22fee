// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewInspect makes podunit network inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:               "inspect [flags] NETWORK...",
		Short:             "Show all there is to know of networks",
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteNetworks(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := rows(cmd.Context(), e, nil)
			if err != nil {
				return err
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			chosen := []*view.InspectNetwork{}
			var faults []error
			for _, name := range args {
				row, err := named(x.Networks(), list, name)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				chosen = append(chosen, row.Inspect())
			}
			if err := format.Each(e.Stdout, out, chosen); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	cli.CompleteFormat[view.InspectNetwork](cmd)
	return cmd
}
