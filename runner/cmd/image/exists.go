// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image"
	"github.com/spf13/cobra"
)

// NewExists makes podunit image exists.
func NewExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists IMAGE",
		Short:             "Tell by the exit status whether an image is in the storage",
		Long:              "Exit status: 0 it is there, 1 it isn't, 125 an error.",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			_, err = im.Lookup(cmd.Context(), args[0])
			if errors.Is(err, image.ErrUnknown) {
				return cli.ExitStatus(exitImageUnknown)
			}
			return err
		},
	}
}
