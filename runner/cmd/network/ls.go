// SPDX-License-Identifier: Apache-2.0

package network

import (
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// shortID is how many digits of an ID are shown.
const shortID = 12

// NewLs makes podunit network ls.
func NewLs(e *cli.Env) *cobra.Command {
	var l cli.Listing
	var noTrim bool
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List networks",
		Long: "List networks.\n\nFilters: name, id, driver=TEXT; label, label!=KEY[=VALUE]; until=TIME; dangling=BOOL.\nFields: " +
			strings.Join(format.Fields[view.NetworkRow](), ", ") + ".",
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := rows(cmd.Context(), e, l.Filters)
			if err != nil {
				return err
			}
			for i := range list {
				if !noTrim && !l.IsJSON() {
					list[i].ID = list[i].ID[:shortID]
				}
			}
			return cli.PrintRows(e, l, list, func(r view.NetworkRow) string { return r.Name }, format.Table{
				Default: "{{.ID}}\t{{.Name}}\t{{.Driver}}", Headings: map[string]string{"ID": "NETWORK ID"},
			})
		},
	}
	cli.ListingFlags[view.NetworkRow](cmd, &l, "networks", "names")
	cmd.Flags().BoolVar(&noTrim, "no-trunc", false, "whole IDs")
	return cmd
}
