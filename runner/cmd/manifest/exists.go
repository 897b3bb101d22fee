// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/spf13/cobra"
)

// NewExists makes podunit manifest exists.
func NewExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists LIST",
		ValidArgsFunction: cli.CompleteImages(e),
		Short:             "Tell by the exit status whether a list of manifests exists: 0 or 1",
		Args:              cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.ListID(args[0])
			if err == nil && id == "" {
				return cli.ExitStatus(1)
			}
			return err
		},
	}
}
