// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
)

// NewAnnotate makes podunit manifest annotate.
func NewAnnotate(e *cli.Env) *cobra.Command {
	var i registry.Listed
	var annotations []string
	var index bool
	cmd := &cobra.Command{
		Use:               "annotate [flags] LIST [DIGEST]",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteImages(e)),
		Short:             "Say something of an image in a list of manifests, or of the list",
		Args:              cli.WantArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if i.Annotations, err = cli.Assignments("--annotation", annotations, true); err != nil {
				return err
			}
			switch {
			case index && len(args) > 1:
				return errors.New("--index means the list itself, and DIGEST an image in it: they exclude each other")
			case index && len(annotations) == 0 && i.Subject == "":
				return errors.New("--index: what is there to say of the list? --annotation or --subject is missing")
			case index:
				i.IndexAnnotations, i.Annotations = i.Annotations, nil
			}
			of := ""
			if len(args) > 1 {
				of = args[1]
			} else if !index && i.Subject == "" {
				return hint.With(errors.New("of which image? DIGEST is missing"), "podunit manifest inspect %s shows them; --index means the list itself", args[0])
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.AnnotateList(args[0], of, i)
			if err != nil {
				return err
			}
			fmt.Fprintln(e.Stdout, id)
			return nil
		},
	}
	listedFlags(cmd, &i, &annotations)
	cmd.Flags().StringSliceVar(&i.OSFeatures, "os-features", nil, "it needs `FEATURES` of the system")
	cmd.Flags().BoolVar(&index, "index", false, "--annotation is one of the list itself")
	cmd.Flags().StringVar(&i.Subject, "subject", "", "the list is about `IMAGE`")
	return cmd
}
