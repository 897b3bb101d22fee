// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
)

// NewInspect makes podunit artifact inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:               "inspect [flags] ARTIFACT",
		ValidArgsFunction: complete(e),
		Short:             "Show all there is to know of an artifact",
		Args:              cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, ref, err := find(cmd.Context(), e, args[0])
			if err != nil {
				return err
			}
			a, err := store.Inspect(cmd.Context(), ref)
			if err != nil {
				return noArtifact(args[0], err)
			}
			if out == "" || format.IsJSON(out) {
				return format.JSON(e.Stdout, a)
			}
			return format.Each(e.Stdout, out, []*libartifact.Artifact{a})
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	return cmd
}
