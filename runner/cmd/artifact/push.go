// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/safe"
	"github.com/spf13/cobra"
)

// NewPush makes podunit artifact push.
func NewPush(e *cli.Env) *cobra.Command {
	var flags image.SendFlags
	cmd := &cobra.Command{
		Use:               "push [flags] ARTIFACT",
		ValidArgsFunction: complete(e),
		Short:             "Push an artifact to the registry that its name says",
		Args:              cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.Options(e)
			if err != nil {
				return err
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.PushArtifact(cmd.Context(), args[0], o)
			if err != nil {
				return noArtifact(args[0], err)
			}
			if flags.DigestFile != "" {
				if err := safe.Replace(flags.DigestFile, []byte("sha256:"+id), 0o644); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(e.Stdout, id)
			return err
		},
	}
	flags.RegisterRegistry(cmd)
	flags.RegisterSigning()
	return cli.Waits(cmd)
}
