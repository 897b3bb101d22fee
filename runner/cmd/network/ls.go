// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
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
	var (
		out                      string
		quiet, noHeading, noTrim bool
		filters                  []string
	)
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List networks",
		Long: "List networks.\n\nFilters: name, id, driver=TEXT; label, label!=KEY[=VALUE]; until=TIME; dangling=BOOL.\nFields: " +
			strings.Join(format.Fields[view.NetworkRow](), ", ") + ".",
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := rows(cmd.Context(), e, filters)
			if err != nil {
				return err
			}
			switch {
			case quiet:
				for _, r := range list {
					fmt.Fprintln(e.Stdout, r.Name)
				}
				return nil
			case format.IsJSON(out):
				return format.JSON(e.Stdout, list)
			}
			for i := range list {
				if !noTrim {
					list[i].ID = list[i].ID[:shortID]
				}
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: "{{.ID}}\t{{.Name}}\t{{.Driver}}", NoHeading: noHeading,
				Headings: map[string]string{"ID": "NETWORK ID"},
			}, list)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only networks that match `KEY=VALUE`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVar(&noTrim, "no-trunc", false, "whole IDs")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVarP(&quiet, "quiet", "q", false, "only names")
	cli.CompleteFormat[view.NetworkRow](cmd)
	return cmd
}
