// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// listing are the flags of podunit ps.
type listing struct {
	all, quiet, noTrunc, noHeading, pod, latest, size, namespaces, external bool

	last      int
	watch     int // seconds between two tables
	sync      bool
	out, sort string
	filters   []string
}

// NewPs makes podunit ps.
func NewPs(e *cli.Env) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:     "ps [flags]",
		Aliases: []string{"list", "ls"},
		Short:   "List containers",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if l.last > 0 && l.latest {
				return errors.New("--last and --latest exclude each other")
			}
			ctx := cmd.Context()
			x, err := e.Open(ctx)
			if err != nil {
				return err
			}
			show := func() error {
				e.Sweep(ctx, x)
				e.Heal(ctx, x)
				rows, err := l.rows(x)
				if err != nil {
					return err
				}
				return l.draw(ctx, e, x, rows)
			}
			if !cmd.Flags().Changed("watch") {
				return show()
			}
			if err := cli.WantInterval("--watch", l.watch); err != nil {
				return err
			}
			return e.Watch(ctx, l.watch, true, show)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&l.all, "all", "a", false, "also those that do not run")
	f.BoolVar(&l.external, "external", false, "also containers of other tools in the same storage, such as buildah's")
	f.BoolVarP(&l.quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&l.noTrunc, "no-trunc", false, "whole IDs and commands")
	f.BoolVar(&l.noHeading, "noheading", false, "no line of headings")
	f.BoolVarP(&l.pod, "pod", "p", false, "show the pod")
	f.BoolVarP(&l.size, "size", "s", false, "show how much of the disk they take")
	f.BoolVar(&l.namespaces, "namespace", false, "show the numbers of their namespaces")
	f.BoolVar(&l.namespaces, "ns", false, "the same as --namespace")
	f.BoolVar(&l.sync, "sync", false, "no effect: what is shown is always how it is")
	_ = f.MarkHidden("sync") // fails only for a flag that does not exist
	f.IntVarP(&l.watch, "watch", "w", 0, "show it anew every `SECONDS`, until Ctrl-C")
	f.BoolVarP(&l.latest, "latest", "l", false, "the one made last")
	f.IntVarP(&l.last, "last", "n", 0, "the `N` made last, running or not")
	f.StringVar(&l.out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.StringVar(&l.sort, "sort", "created", "by command, created, id, image, names, runningfor, size or status")
	f.StringArrayVarP(&l.filters, "filter", "f", nil, "`KEY=VALUE`: name, id, status, label, ancestor, pod, exited, health, volume, network, unit, restart-policy, command, until, before, since")
	return cmd
}

// rows are the containers to show, in order.
func (l *listing) rows(x *service.Engine) ([]view.ContainerRow, error) {
	match, err := view.ContainerFilters(l.filters, x.Find)
	if err != nil {
		return nil, err
	}
	rows, err := view.Containers(x, !l.noTrunc)
	if err != nil {
		return nil, err
	}
	if l.external {
		others, err := view.External(x, !l.noTrunc)
		if err != nil {
			return nil, err
		}
		rows = append(rows, others...)
	}
	last := l.last
	if l.latest {
		last = 1
	}
	if last > 0 {
		view.ByAge(rows)
		rows = rows[:min(last, len(rows))]
	}
	stateAsked := slices.ContainsFunc(l.filters, func(f string) bool { return strings.HasPrefix(f, "status=") })
	any := l.all || l.external || last > 0 || stateAsked
	rows = slices.DeleteFunc(rows, func(r view.ContainerRow) bool {
		return !match(r) || !any && r.State != string(container.Running) && r.State != string(container.Stopping)
	})
	if l.size || l.sort == "size" {
		if rows, err = view.AddSizes(x, rows); err != nil {
			return nil, err
		}
	}
	if l.namespaces || strings.Contains(l.out, ".Namespaces") {
		view.AddNamespaces(rows)
	}
	return rows, view.SortContainers(rows, l.sort)
}

// draw shows the rows.
func (l *listing) draw(ctx context.Context, e *cli.Env, x *service.Engine, rows []view.ContainerRow) error {
	if l.quiet {
		for _, r := range rows {
			fmt.Fprintln(e.Stdout, r.ID)
		}
		return nil
	}
	if format.IsJSON(l.out) || strings.Contains(l.out, ".Restarts") {
		for i := range rows {
			rows[i].Restarts = x.Restarts(ctx, rows[i].Unit)
		}
	}
	if format.IsJSON(l.out) {
		return format.JSON(e.Stdout, rows)
	}
	columns := "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Created}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
	if l.namespaces {
		columns = "{{.ID}}\t{{.Names}}\t{{.Pid}}\t{{.CGROUPNS}}\t{{.IPC}}\t{{.MNT}}\t{{.NET}}\t{{.PIDNS}}\t{{.USERNS}}\t{{.UTS}}"
	}
	if l.pod {
		columns += "\t{{.Pod}}\t{{.PodName}}"
	}
	if l.size {
		columns += "\t{{.Size}}"
	}
	return format.Rows(e.Stdout, format.Table{
		Format: l.out, Default: columns, NoHeading: l.noHeading,
		Headings: map[string]string{"ID": "CONTAINER ID", "PodName": "PODNAME", "Pod": "POD ID"},
	}, rows)
}
