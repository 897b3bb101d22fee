// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/spf13/cobra"
)

// NewRemove makes podunit manifest remove.
func NewRemove(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "remove LIST DIGEST",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteImages(e)),
		Short:             "Take an image from a list of manifests",
		Args:              cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.RemoveFromList(args[0], args[1])
			if err != nil {
				return err
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
}
