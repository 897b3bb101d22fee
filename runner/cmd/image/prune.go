// SPDX-License-Identifier: Apache-2.0

package image

import (
	"fmt"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewPrune makes podunit image prune.
func NewPrune(e *cli.Env) *cobra.Command {
	var all, force bool
	var filters []string
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove images that no container stands on",
		Long: `Remove images without a name on which no container stands, and print their IDs; with
--all, those with a name as well. What interrupted pulls have left for the next one goes, too.

Filters: until=TIME, label=KEY[=VALUE], and those of podunit images.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				what := "all images without a name"
				if all {
					what = "all images that no container stands on"
				}
				yes, err := e.Confirm("WARNING! This removes " + what + ".")
				if err != nil || !yes {
					return err
				}
			}
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			reports, freed, err := im.Prune(cmd.Context(), all, filters)
			for _, r := range reports {
				if r.Removed {
					fmt.Fprintln(e.Stdout, r.ID)
				}
			}
			if freed > 0 {
				fmt.Fprintf(e.Stderr, "podunit: interrupted pulls had left %s\n", units.HumanSize(float64(freed)))
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "also images with a name")
	f.StringArrayVar(&filters, "filter", nil, "only images that match `KEY=VALUE`")
	f.BoolVarP(&force, "force", "f", false, "do not ask")
	cli.Refuse(cmd.Flags(), "build-cache", "false", "buildah prune")
	cli.Refuse(cmd.Flags(), "external", "false", "the tool that made such containers removes them: buildah rm --all")
	return cmd
}
