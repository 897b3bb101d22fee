// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
	"go.podman.io/common/libimage"
)

// NewInspect makes podunit image inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:               "inspect [flags] IMAGE...",
		Short:             "Show all there is to know of images",
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			var all []*libimage.ImageData
			var faults []error
			for _, name := range args {
				data, err := im.Inspect(cmd.Context(), name)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				all = append(all, data)
			}
			if err := format.Each(e.Stdout, out, all); err != nil {
				return err
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	cli.CompleteFormat[libimage.ImageData](cmd)
	return cmd
}
