// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/spf13/cobra"
)

// NewPull makes podunit artifact pull.
func NewPull(e *cli.Env) *cobra.Command {
	var flags image.SendFlags
	var keys []string
	cmd := &cobra.Command{
		Use:     "pull [flags] ARTIFACT",
		Short:   "Pull an artifact from a registry",
		Example: "  podunit artifact pull quay.io/example/model:latest",
		Args:    cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.Options(e)
			if err != nil {
				return err
			}
			o.DecryptionKeys = keys
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.PullArtifact(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Stdout, id)
			return err
		},
	}
	flags.RegisterRegistry(cmd)
	cmd.Flags().StringArrayVar(&keys, "decryption-key", nil, "private `KEY[:PASSPHRASE]` for encrypted blobs")
	return cli.Waits(cmd)
}
