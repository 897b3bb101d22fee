// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewInspect makes podunit volume inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var (
		out string
		all bool
	)
	cmd := &cobra.Command{
		Use:               "inspect [flags] VOLUME...",
		Short:             "Show all there is to know of volumes",
		ValidArgsFunction: complete(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("volume inspect wants volumes, or --all")
			}
			list, err := rows(cmd.Context(), e, nil)
			if err != nil {
				return err
			}
			if all {
				return format.Each(e.Stdout, out, list)
			}
			var chosen []view.VolumeRow
			var faults []error
			for _, name := range args {
				row, err := view.VolumeNamed(list, name)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				chosen = append(chosen, row)
			}
			if err := format.Each(e.Stdout, out, chosen); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all volumes")
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	cli.CompleteFormat[view.VolumeRow](cmd)
	return cmd
}
