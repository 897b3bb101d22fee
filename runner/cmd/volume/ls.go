// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewLs makes podunit volume ls.
func NewLs(e *cli.Env) *cobra.Command {
	var (
		out              string
		quiet, noHeading bool
		filters          []string
	)
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List volumes",
		Long:    "List volumes.\n\nFilters: name, driver, scope=TEXT; label=KEY[=VALUE]; dangling, anonymous=BOOL; until, after=TIME.\nFields: " + strings.Join(format.Fields[view.VolumeRow](), ", ") + ".",
		Args:    cli.WantArgs(0, 0),
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
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: "{{.Driver}}\t{{.Name}}", NoHeading: noHeading,
				Headings: map[string]string{"Name": "VOLUME NAME"},
			}, list)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only volumes that match `KEY=VALUE`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVarP(&quiet, "quiet", "q", false, "only names")
	cli.CompleteFormat[view.VolumeRow](cmd)
	return cmd
}
