// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewLs makes podunit secret ls.
func NewLs(e *cli.Env) *cobra.Command {
	var l cli.Listing
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List secrets",
		Long:    "List secrets.\n\nFilters: name=REGEX, id=REGEX.",
		Args:    cli.WantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			match, err := view.SecretFilters(l.Filters)
			if err != nil {
				return err
			}
			s, err := e.Secrets()
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
			return cli.PrintRows(e, l, list, func(r view.SecretRow) string { return r.ID }, format.Table{
				Default: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}", Headings: map[string]string{"CreatedAt": "CREATED", "UpdatedAt": "UPDATED"},
			})
		},
	}
	cli.ListingFlags[view.SecretRow](cmd, &l, "secrets", "IDs")
	return cmd
}
