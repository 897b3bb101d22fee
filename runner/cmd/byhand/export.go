// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"io"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewExport makes podunit export.
func NewExport(e *cli.Env) *cobra.Command {
	var output string
	var latest bool
	cmd := &cobra.Command{
		Use:               "export [flags] CONTAINER",
		Short:             "Write the files of a container as a tar archive",
		Long:              "Write the files of a container as a tar archive, without those of its volumes.",
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, r, err := only(cmd, e, latest, args)
			if err != nil {
				return err
			}
			if err := e.ToFile(cmd.Context(), output, func(w io.Writer) error { return x.Containers.Export(r, w) }); err != nil {
				return err
			}
			x.Containers.Tell(r, "export")
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, not to stdout")
	latestFlag(cmd, &latest)
	return cli.Waits(cmd)
}
