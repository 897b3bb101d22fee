// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

// NewDiff makes podunit diff.
func NewDiff(e *cli.Env) *cobra.Command {
	var latest bool
	var out string
	cmd := &cobra.Command{
		Use:               "diff [flags] CONTAINER",
		Short:             "Show in which files a container differs from its image",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, r, err := only(cmd, e, latest, args)
			if err != nil {
				return err
			}
			changes, err := x.Containers.Changes(r)
			if err != nil {
				return err
			}
			return format.Changes(e.Stdout, out, changes)
		},
	}
	latestFlag(cmd, &latest)
	cmd.Flags().StringVar(&out, "format", "", "json, or nothing for a line per file")
	cli.Complete(cmd, "format", "json")
	return cli.Waits(cmd)
}
