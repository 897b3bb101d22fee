// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewAdd makes podunit manifest add.
func NewAdd(e *cli.Env) *cobra.Command {
	var i registry.Listed
	var annotations []string
	var creds string
	var tlsVerify bool
	cmd := &cobra.Command{
		Use:               "add [flags] LIST IMAGE...",
		ValidArgsFunction: cli.CompleteImages(e),
		Short:             "Add images to a list of manifests",
		Args:              cli.WantArgs(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("tls-verify") {
				i.TLSVerify = &tlsVerify
			}
			var err error
			if i.Annotations, err = cli.Assignments("--annotation", annotations, true); err != nil {
				return err
			}
			if i.User, i.Secret, err = image.Credentials(e, creds); err != nil {
				return err
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id := ""
			for _, name := range args[1:] {
				i.Image = name
				if id, err = im.AddToList(cmd.Context(), args[0], i); err != nil {
					return err
				}
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	listedFlags(cmd, &i, &annotations)
	f := cmd.Flags()
	f.BoolVar(&i.All, "all", false, "of an image that is a list, all images")
	f.StringVar(&i.AuthFile, "authfile", "", "`FILE` with credentials")
	f.StringVar(&i.CertDir, "cert-dir", "", "`DIR` with certificates for the registry")
	f.StringVar(&creds, "creds", "", "`USER[:PASSWORD]` for the registry")
	f.BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	for _, flag := range []struct{ name, fits string }{
		{"artifact", "false"}, {"artifact-config", ""}, {"artifact-config-type", ""}, {"artifact-exclude-titles", "false"}, {"artifact-layer-type", ""},
		{"artifact-subject", ""}, {"artifact-type", ""},
	} {
		cli.Refuse(f, flag.name, flag.fits, "podunit artifact add makes an artifact of files, and podunit artifact push copies it to a registry")
	}
	return cli.Waits(cmd)
}
