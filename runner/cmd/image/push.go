// SPDX-License-Identifier: Apache-2.0

package image

import (
	"io"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/safe"
	"github.com/spf13/cobra"
)

// NewPush makes podunit push.
func NewPush(e *cli.Env) *cobra.Command {
	var flags SendFlags
	cmd := &cobra.Command{
		Use:   "push [flags] IMAGE [DESTINATION]",
		Short: "Copy an image to a registry",
		Long: `Copy an image to a registry: where its name says, or to DESTINATION, which may have another
transport: docker://NAME, oci:DIR[:REFERENCE], oci-archive:FILE, docker-archive:FILE, dir:DIR.`,
		Example:           "  podunit push registry.example/team/app:1\n  podunit push app registry.example/team/app:1",
		Args:              cli.WantArgs(1, 2),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.Options(e)
			if err != nil {
				return err
			}
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			to := ""
			if len(args) > 1 {
				to = args[1]
			}
			d, err := im.Push(cmd.Context(), args[0], to, o)
			if err != nil || flags.DigestFile == "" {
				return err
			}
			return safe.Replace(flags.DigestFile, []byte(d.String()), 0o644)
		},
	}
	flags.Register(cmd)
	flags.registerEncryption()
	cmd.Flags().StringVarP(&flags.Format, "format", "f", "", "`FORMAT` of the manifest: oci, v2s2 or v2s1")
	cli.Complete(cmd, "format", "oci", "v2s2", "v2s1")
	return cli.Waits(cmd)
}

// progress is where the progress of a copy is written; nowhere with quiet.
func progress(e *cli.Env, quiet bool) io.Writer {
	if quiet {
		return nil
	}
	return e.Stderr
}
