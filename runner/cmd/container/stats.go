// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// Stats shows the use of resources of containers, once or again and again.
type Stats struct {
	noStream, noReset, noTrunc bool
	interval                   int
	out                        string
	// Columns is the table's own template, Headings its headings.
	Columns  string
	Headings map[string]string
	// Pods says that the JSON has the field names of pod stats.
	Pods bool
	// all says that containers that do not run have a row, too.
	all bool
}

// Flags registers the flags.
func (s *Stats) Flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&s.noStream, "no-stream", false, "show them once")
	f.BoolVar(&s.noReset, "no-reset", false, "do not clear the screen between two tables")
	f.BoolVar(&s.noTrunc, "no-trunc", false, "whole IDs")
	f.IntVarP(&s.interval, "interval", "i", 5, "`SECONDS` between two tables")
	f.StringVar(&s.out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	cli.CompleteFormat[view.Stat](cmd)
}

// NewStats makes podunit stats.
func NewStats(e *cli.Env) *cobra.Command {
	var latest bool
	s := Stats{
		Columns:  "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDS}}\t{{.UpTime}}\t{{.AVGCPU}}",
		Headings: statHeadings("MEM USAGE / LIMIT"),
	}
	cmd := &cobra.Command{
		Use:   "stats [flags] [CONTAINER...]",
		Short: "Show what containers use: processors, memory, network, disks",
		Long: `Show what containers use, from their cgroups; all that run, where none is named. systemd-cgtop shows
the same of all units.

A template has the pressure, too: for how much of the last ten seconds some process waited for a processor, memory
or a disk. That is CPUPressure, MemPressure and IOPressure.`,
		Example: "  podunit stats web db\n" +
			"  podunit stats --no-stream --format 'table {{.Name}}\\t{{.CPUPressure}}\\t{{.MemPressure}}\\t{{.IOPressure}}'",
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.all && len(args) > 0 || s.all && latest || latest && len(args) > 0 {
				return errors.New("--all, --latest and names exclude each other")
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 0 && !latest {
				return s.Show(cmd.Context(), e, x, x.Containers.Lister())
			}
			records, err := (&cli.Selection{Latest: latest}).Resolve(x, args)
			if err != nil {
				return err
			}
			return s.Show(cmd.Context(), e, x, func() ([]container.Record, error) { return records, nil })
		},
	}
	cmd.Flags().BoolVarP(&s.all, "all", "a", false, "of containers that do not run, too")
	cmd.Flags().BoolVarP(&latest, "latest", "l", false, "the container made last")
	s.Flags(cmd)
	return cli.Waits(cmd)
}

// statHeadings are the headings of stats; memory is that of the use and limit of memory.
func statHeadings(memory string) map[string]string {
	return map[string]string{
		"CPUPerc": "CPU %", "MemUsage": memory, "MemPerc": "MEM %", "NetIO": "NET IO", "BlockIO": "BLOCK IO", "PIDS": "PIDS",
		"UpTime": "CPU TIME", "AVGCPU": "AVG CPU %", "CID": "CID", "MemUsageBytes": memory,
		"CPUPressure": "CPU PRESSURE", "MemPressure": "MEM PRESSURE", "IOPressure": "IO PRESSURE",
	}
}

// PodHeadings are those of the stats of pods, in podman's spelling.
func PodHeadings() map[string]string { return statHeadings("MEM USAGE/ LIMIT") }

// Show shows the numbers of the running ones among the containers that list returns; it calls list
// each time. It ends with ctx.
func (s *Stats) Show(ctx context.Context, e *cli.Env, x *service.Engine, list func() ([]container.Record, error)) error {
	if err := cli.WantInterval("--interval", s.interval); err != nil {
		return err
	}
	before := map[string]view.Sample{}
	measurer := view.NewMeasurer(x, !s.noStream)
	defer measurer.Close()
	show := func() error {
		records, err := list()
		if err != nil {
			return err
		}
		rows, now, err := s.measure(measurer, records, before)
		if err != nil {
			return err
		}
		before = now
		return s.draw(e, rows)
	}
	if s.noStream {
		return show()
	}
	return e.Watch(ctx, s.interval, !s.noReset && s.out == "", show)
}

func (s *Stats) measure(measurer *view.Measurer, records []container.Record, before map[string]view.Sample) ([]view.Stat, map[string]view.Sample, error) {
	rows, now := []view.Stat{}, map[string]view.Sample{}
	measurer.Begin()
	for _, r := range records {
		m, runs, err := measurer.Measure(r)
		if err != nil {
			return nil, nil, err
		}
		if !runs && s.all {
			rows = append(rows, view.Idle(r, !s.noTrunc))
		}
		if !runs {
			continue
		}
		rows, now[r.ID] = append(rows, m.Row(before[r.ID], !s.noTrunc)), m
	}
	return rows, now, nil
}

func (s *Stats) draw(e *cli.Env, rows []view.Stat) error {
	if format.IsJSON(s.out) && s.Pods {
		return format.JSON(e.Stdout, view.PodStats(rows))
	}
	if format.IsJSON(s.out) {
		return format.JSON(e.Stdout, rows)
	}
	return format.Rows(e.Stdout, format.Table{Format: s.out, Default: s.Columns, Headings: s.Headings}, rows)
}
