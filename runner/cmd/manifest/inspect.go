// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

// NewInspect makes podunit manifest inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "inspect LIST",
		ValidArgsFunction: cli.CompleteImages(e),
		Short:             "Show a list of manifests",
		Args:              cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			list, err := im.InspectList(args[0])
			if err != nil {
				return err
			}
			return format.JSON(e.Stdout, list)
		},
	}
	const instead = "lists in the storage are shown; skopeo inspect --raw docker://NAME shows one of a registry"
	cli.Refuse(cmd.Flags(), "authfile", "", instead)
	cli.Refuse(cmd.Flags(), "tls-verify", "true", instead)
	cmd.Flags().Lookup("tls-verify").NoOptDefVal = "true"
	return cmd
}
