// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewLs makes podunit secret ls.
func NewLs(e *cli.Env) *cobra.Command {
	var (
		out              string
		quiet, noHeading bool
		filters          []string
	)
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List secrets",
		Long:    "List secrets.\n\nFilters: name=REGEX, id=REGEX.",
		Args:    cli.WantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			match, err := view.SecretFilters(filters)
			if err != nil {
				return err
			}
			s, err := open(e)
			if err != nil {
				return err
			}
			all, err := s.List()
			if err != nil {
				return err
			}
			list := []view.SecretRow{}
			for _, one := range all {
				if row := view.Secret(one); match(row) {
					list = append(list, row)
				}
			}
			switch {
			case quiet:
				for _, r := range list {
					fmt.Fprintln(e.Stdout, r.ID)
				}
				return nil
			case format.IsJSON(out):
				return format.JSON(e.Stdout, list)
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}", NoHeading: noHeading,
				Headings: map[string]string{"CreatedAt": "CREATED", "UpdatedAt": "UPDATED"},
			}, list)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only secrets that match `KEY=REGEX`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVarP(&quiet, "quiet", "q", false, "only IDs")
	cli.CompleteFormat[view.SecretRow](cmd)
	return cmd
}
