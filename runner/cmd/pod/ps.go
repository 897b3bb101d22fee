// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// newest leaves the pod that was made last, if there is one.
func newest(rows []view.PodRow) []view.PodRow {
	if len(rows) == 0 {
		return rows
	}
	return []view.PodRow{slices.MaxFunc(rows, func(a, b view.PodRow) int { return a.CreatedAt.Compare(b.CreatedAt) })}
}

// NewPs makes podunit pod ps.
func NewPs(e *cli.Env) *cobra.Command {
	var quiet, noTrunc, noHeading, latest, ids, names, status, namespaces bool
	var out, sort string
	var filters []string
	cmd := &cobra.Command{
		Use:     "ps [flags]",
		Aliases: []string{"ls", "list"},
		Short:   "List pods",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			e.Sweep(cmd.Context(), x)
			match, err := view.PodFilters(filters)
			if err != nil {
				return err
			}
			rows, err := view.Pods(x, !noTrunc)
			if err != nil {
				return err
			}
			rows = slices.DeleteFunc(rows, func(r view.PodRow) bool { return !match(r) })
			if latest {
				rows = newest(rows)
			}
			if err := view.SortPods(rows, sort); err != nil {
				return err
			}
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(e.Stdout, r.IDFull)
				}
				return nil
			}
			if format.IsJSON(out) {
				return format.JSON(e.Stdout, rows)
			}
			columns := "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Created}}\t{{.InfraID}}"
			if namespaces {
				columns += "\t{{.Cgroup}}"
			}
			if !ids && !names && !status {
				columns += "\t{{.NumberOfContainers}}"
			}
			for _, c := range []struct {
				want  bool
				field string
			}{{ids, "ContainerIds"}, {names, "ContainerNames"}, {status, "ContainerStatuses"}} {
				if c.want {
					columns += "\t{{." + c.field + "}}"
				}
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, Default: columns, NoHeading: noHeading,
				Headings: map[string]string{
					"ID": "POD ID", "InfraID": "INFRA ID", "NumberOfContainers": "# OF CONTAINERS", "ContainerIds": "IDS",
					"ContainerNames": "NAMES", "ContainerStatuses": "STATUS",
				},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&quiet, "quiet", "q", false, "only IDs")
	f.BoolVarP(&latest, "latest", "l", false, "only the pod made last")
	f.BoolVar(&noTrunc, "no-trunc", false, "whole IDs")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVar(&ids, "ctr-ids", false, "show the IDs of the containers")
	f.BoolVar(&names, "ctr-names", false, "show the names of the containers")
	f.BoolVar(&status, "ctr-status", false, "show the states of the containers")
	f.BoolVar(&namespaces, "ns", false, "show the cgroup of its first process")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.StringVar(&sort, "sort", "created", "by created, id, name, number or status")
	f.StringArrayVarP(&filters, "filter", "f", nil, "`KEY=VALUE`: name, id, status, label, ctr-names, ctr-ids, ctr-number, ctr-status, unit, network, restart-policy, until")
	return cmd
}
