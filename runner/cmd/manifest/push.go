// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/podunit/podunit/runner/safe"
	"github.com/spf13/cobra"
)

// NewPush makes podunit manifest push.
func NewPush(e *cli.Env) *cobra.Command {
	var flags image.SendFlags
	var all, rm bool
	var variants []string
	cmd := &cobra.Command{
		Use:               "push [flags] LIST [DESTINATION]",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteImages(e)),
		Short:             "Copy a list of manifests, with its images, to a registry",
		Args:              cli.WantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !all {
				return errors.New("--all=false: a list without its images is of no use to anybody")
			}
			o, err := flags.Options(e)
			if err != nil {
				return err
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			to := ""
			if len(args) > 1 {
				to = args[1]
			}
			d, err := im.PushList(cmd.Context(), args[0], to, variants, o)
			if err != nil {
				return err
			}
			if flags.DigestFile != "" {
				if err := safe.Replace(flags.DigestFile, []byte(d.String()), 0o644); err != nil {
					return err
				}
			}
			if !rm {
				return nil
			}
			_, err = im.Remove(cmd.Context(), args[0], registry.RemoveOptions{})
			return err
		},
	}
	flags.Register(cmd)
	cmd.Flags().StringVarP(&flags.Format, "format", "f", "", "`FORMAT` of the manifests: oci or v2s2")
	cmd.Flags().StringSliceVar(&variants, "add-compression", nil, "also put images into the list whose layers are compressed with these `FORMATS`")
	cli.Complete(cmd, "add-compression", "gzip", "zstd", "zstd:chunked")
	cmd.Flags().BoolVar(&all, "all", true, "also the images")
	cmd.Flags().BoolVar(&rm, "rm", false, "remove the list from the storage afterwards")
	return cli.Waits(cmd)
}
