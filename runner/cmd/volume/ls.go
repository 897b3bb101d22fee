// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewLs makes podunit volume ls.
func NewLs(e *cli.Env) *cobra.Command {
	var l cli.Listing
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List volumes",
		Long:    "List volumes.\n\nFilters: name, driver, scope=TEXT; label=KEY[=VALUE]; dangling, anonymous=BOOL; until, after=TIME.\nFields: " + strings.Join(format.Fields[view.VolumeRow](), ", ") + ".",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := rows(cmd.Context(), e, l.Filters)
			if err != nil {
				return err
			}
			return cli.PrintRows(e, l, list, func(r view.VolumeRow) string { return r.Name }, format.Table{
				Default: "{{.Driver}}\t{{.Name}}", Headings: map[string]string{"Name": "VOLUME NAME"},
			})
		},
	}
	cli.ListingFlags[view.VolumeRow](cmd, &l, "volumes", "names")
	return cmd
}
