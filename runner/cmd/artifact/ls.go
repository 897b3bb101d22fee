// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
)

// row is a row of artifact ls; the names of fields are podman's.
type row struct {
	Repository, Tag, Digest, Size string
}

// NewLs makes podunit artifact ls.
func NewLs(e *cli.Env) *cobra.Command {
	var noTrunc, noHeading, quiet bool
	var out string
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List artifacts in the storage",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := artifacts(cmd.Context(), e)
			if err != nil {
				return err
			}
			all, err := store.List(cmd.Context())
			if err != nil {
				return err
			}
			rows := []row{}
			for _, a := range all {
				rows = append(rows, rowOf(a, noTrunc))
			}
			switch {
			case quiet:
				for _, r := range rows {
					fmt.Fprintln(e.Stdout, r.Digest)
				}
				return nil
			case format.IsJSON(out):
				return format.JSON(e.Stdout, rows)
			}
			return format.Rows(e.Stdout, format.Table{Format: out, Default: "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Size}}", NoHeading: noHeading}, rows)
		},
	}
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "whole digests")
	cmd.Flags().BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only digests")
	cmd.Flags().StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	return cmd
}

func rowOf(a *libartifact.Artifact, noTrunc bool) row {
	r := row{Repository: a.Name, Digest: a.Digest.Encoded(), Size: units.HumanSizeWithPrecision(float64(a.TotalSizeBytes()), 3)}
	if at := strings.LastIndex(a.Name, ":"); at > strings.LastIndex(a.Name, "/") {
		r.Repository, r.Tag = a.Name[:at], a.Name[at+1:]
	}
	if !noTrunc {
		r.Digest = r.Digest[:min(12, len(r.Digest))]
	}
	return r
}
