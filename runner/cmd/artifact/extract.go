// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
	libartifacttypes "go.podman.io/common/pkg/libartifact/types"
)

// NewExtract makes podunit artifact extract.
func NewExtract(e *cli.Env) *cobra.Command {
	var o libartifacttypes.ExtractOptions
	cmd := &cobra.Command{
		Use:               "extract [flags] ARTIFACT PATH",
		ValidArgsFunction: cli.CompleteFirst(complete(e)),
		Short:             "Write the files of an artifact to a file or a directory",
		Args:              cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, ref, err := find(cmd.Context(), e, args[0])
			if err != nil {
				return err
			}
			return noArtifact(args[0], store.Extract(cmd.Context(), ref, args[1], &o))
		},
	}
	cmd.Flags().StringVar(&o.Digest, "digest", "", "only the file of this `DIGEST`")
	cmd.Flags().StringVar(&o.Title, "title", "", "only the file of this `NAME`")
	cmd.MarkFlagsMutuallyExclusive("digest", "title")
	return cmd
}
