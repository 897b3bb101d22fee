// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewPs makes podunit ps.
func NewPs(e *cli.Env) *cobra.Command {
	var (
		all, quiet, noTrunc, noHeading, withPod, latest bool
		last                                            int
		out, sort                                       string
		filters                                         []string
	)
	cmd := &cobra.Command{
		Use:     "ps [flags]",
		Aliases: []string{"list", "ls"},
		Short:   "List containers",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			e.Sweep(cmd.Context(), x)
			match, err := view.ContainerFilters(filters)
			if err != nil {
				return err
			}
			rows, err := view.Containers(x, !noTrunc)
			if err != nil {
				return err
			}
			stateAsked := slices.ContainsFunc(filters, func(f string) bool { return strings.HasPrefix(f, "status=") })
			if last > 0 || latest {
				view.ByAge(rows)
				if latest {
					last = 1
				}
				rows = rows[:min(last, len(rows))]
			}
			rows = slices.DeleteFunc(rows, func(r view.ContainerRow) bool {
				return !match(r) || !all && last == 0 && !stateAsked && r.State != string(container.Running) && r.State != string(container.Stopping)
			})
			if err := view.SortContainers(rows, sort); err != nil {
				return err
			}
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(e.Stdout, r.ID)
				}
				return nil
			}
			if format.IsJSON(out) || strings.Contains(out, ".Restarts") {
				for i := range rows {
					rows[i].Restarts = x.Restarts(cmd.Context(), rows[i].Unit)
				}
			}
			if format.IsJSON(out) {
				return format.JSON(e.Stdout, rows)
			}
			columns := "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Created}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
			if withPod {
				columns += "\t{{.Pod}}\t{{.PodName}}"
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: columns, NoHeading: noHeading,
				Headings: map[string]string{"ID": "CONTAINER ID", "PodName": "PODNAME", "Pod": "POD ID"},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "also those that do not run")
	f.BoolVarP(&quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&noTrunc, "no-trunc", false, "whole IDs and commands")
	f.BoolVar(&noHeading, "noheading", false, "no line of headings")
	f.BoolVarP(&withPod, "pod", "p", false, "show the pod")
	f.BoolVarP(&latest, "latest", "l", false, "the one made last")
	f.IntVarP(&last, "last", "n", 0, "the `N` made last, running or not")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.StringVar(&sort, "sort", "created", "by command, created, id, image, names, runningfor or status")
	f.StringArrayVarP(&filters, "filter", "f", nil, "`KEY=VALUE`: name, id, status, label, ancestor, pod, exited, health, volume, network, unit, restart-policy, command, until")
	return cmd
}
