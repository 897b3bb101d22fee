// SPDX-License-Identifier: Apache-2.0

package image

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewTag makes podunit tag.
func NewTag(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "tag IMAGE NAME...",
		Short:             "Give an image further names",
		Args:              cli.WantArgs(2, -1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			return im.Tag(args[0], args[1:]...)
		},
	}
}
