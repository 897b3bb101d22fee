// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
)

// Listing is how rows are to be printed: the flags of ls that secrets, volumes and networks share.
type Listing struct {
	Filters []string

	out              string
	quiet, noHeading bool
}

// ListingFlags adds the flags. A row of the list is an R; what names it for people, in the plural;
// key says what remains of a row with --quiet, in the plural.
func ListingFlags[R any](cmd *cobra.Command, l *Listing, what, key string) {
	f := cmd.Flags()
	f.StringArrayVarP(&l.Filters, "filter", "f", nil, "only "+what+" that match `KEY=VALUE`")
	f.StringVar(&l.out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&l.noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVarP(&l.quiet, "quiet", "q", false, "only "+key)
	CompleteFormat[R](cmd)
}

// IsJSON tells that the rows are for a program: nothing in them may be shortened.
func (l Listing) IsJSON() bool { return format.IsJSON(l.out) }

// PrintRows prints the rows. Of the table, Default and Headings are used; key is what remains of a
// row with --quiet.
func PrintRows[R any](e *Env, l Listing, rows []R, key func(R) string, t format.Table) error {
	switch {
	case l.quiet:
		for _, r := range rows {
			fmt.Fprintln(e.Stdout, key(r))
		}
		return nil
	case l.IsJSON():
		return format.JSON(e.Stdout, rows)
	}
	t.Format, t.NoHeading = l.out, l.noHeading
	return format.Rows(e.Stdout, t, rows)
}
