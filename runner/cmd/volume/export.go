// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"io"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewExport makes podunit volume export.
func NewExport(e *cli.Env) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "export [flags] VOLUME",
		Short:             "Write the files of a volume as a tar archive",
		Example:           "  podunit volume export data -o data.tar\n  podunit volume export data | ssh host podunit volume import data -",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: complete(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := open(e)
			if err != nil {
				return err
			}
			if _, err := v.Get(args[0]); err != nil { // before there is a file
				return err
			}
			return e.ToFile(cmd.Context(), output, func(w io.Writer) error { return v.Export(args[0], w) })
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, not to stdout")
	return cli.Waits(cmd)
}
