// SPDX-License-Identifier: Apache-2.0

package image

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

// NewDiff makes podunit image diff.
func NewDiff(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:               "diff [flags] IMAGE [IMAGE]",
		Short:             "Show in which files an image differs from the layers below it, or from another image",
		Args:              cli.WantArgs(1, 2),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			other := ""
			if len(args) > 1 {
				other = args[1]
			}
			changes, err := im.Changes(args[0], other)
			if err != nil {
				return err
			}
			return format.Changes(e.Stdout, out, changes)
		},
	}
	cmd.Flags().StringVar(&out, "format", "", "json, or nothing for a line per file")
	cli.Complete(cmd, "format", "json")
	return cli.Waits(cmd)
}
