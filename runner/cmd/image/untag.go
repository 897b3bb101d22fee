// SPDX-License-Identifier: Apache-2.0

package image

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewUntag makes podunit untag.
func NewUntag(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "untag IMAGE [NAME...]",
		Short:             "Take names from an image, or all of them",
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			return im.Untag(args[0], args[1:]...)
		},
	}
}
