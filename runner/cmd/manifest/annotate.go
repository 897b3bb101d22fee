// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewAnnotate makes podunit manifest annotate.
func NewAnnotate(e *cli.Env) *cobra.Command {
	var i registry.Listed
	var annotations []string
	cmd := &cobra.Command{
		Use:               "annotate [flags] LIST DIGEST",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteImages(e)),
		Short:             "Say something of an image in a list of manifests",
		Args:              cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if i.Annotations, err = cli.Assignments("--annotation", annotations, true); err != nil {
				return err
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.AnnotateList(args[0], args[1], i)
			if err != nil {
				return err
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	listedFlags(cmd, &i, &annotations)
	return cmd
}
