// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewCreate makes podunit manifest create.
func NewCreate(e *cli.Env) *cobra.Command {
	var all, amend, tlsVerify bool
	var annotations []string
	cmd := &cobra.Command{
		Use:               "create [flags] LIST [IMAGE...]",
		ValidArgsFunction: cli.CompleteImages(e),
		Short:             "Make a list of manifests",
		Args:              cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			said, err := cli.Assignments("--annotation", annotations, true)
			if err != nil {
				return err
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.ListID(args[0])
			if err != nil {
				return err
			}
			if id == "" || !amend {
				if id, err = im.CreateList(args[0]); err != nil {
					return err
				}
			}
			if len(said) > 0 {
				if id, err = im.AnnotateList(args[0], "", registry.Listed{IndexAnnotations: said}); err != nil {
					return err
				}
			}
			for _, name := range args[1:] {
				i := registry.Listed{Image: name, All: all}
				if cmd.Flags().Changed("tls-verify") {
					i.TLSVerify = &tlsVerify
				}
				if id, err = im.AddToList(cmd.Context(), args[0], i); err != nil {
					return err
				}
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "of images that are lists, all images")
	f.StringArrayVar(&annotations, "annotation", nil, "`KEY=VALUE`, an annotation of the list")
	f.BoolVarP(&amend, "amend", "a", false, "add to the list if it is there")
	f.BoolVar(&tlsVerify, "tls-verify", true, "want HTTPS and a valid certificate")
	return cmd
}
