// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"context"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/manage"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
)

// NewList makes podunit quadlet list.
func NewList(e *cli.Env) *cobra.Command {
	var (
		filters   []string
		out       string
		noHeading bool
	)
	cmd := &cobra.Command{
		Use:     "list [flags]",
		Aliases: []string{"ls"},
		Short:   "List unit files and the state of their services",
		Long: `List the unit files of the search path.

Filters: name, status, pod=REGEXP; those of one name are alternatives, different ones must all match.
Fields: ` + strings.Join(format.Fields[manage.Row](), ", ") + ".",
		Args: cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := manage.ParseFilters(filters)
			if err != nil {
				return err
			}
			s, err := openStore(e)
			if err != nil {
				return err
			}
			entries, err := s.List()
			if err != nil {
				return err
			}
			m, err := e.Manager(cmd.Context())
			if err != nil {
				return err
			}
			defer m.Close()
			sv := services(cmd.Context(), m)
			rows := make([]manage.Row, 0, len(entries))
			for _, x := range entries {
				row := manage.Row{Name: x.Name, UnitName: x.Service, Path: x.Path, App: x.App, Pod: x.Pod, Status: sv.Status(x)}
				if filter.Match(row) {
					rows = append(rows, row)
				}
			}
			if format.IsJSON(out) {
				return format.JSON(e.Stdout, rows)
			}
			return format.Rows(e.Stdout, format.Table{
				Format: out, NoHeading: noHeading, Default: "{{.Name}}\t{{.UnitName}}\t{{.Path}}\t{{.Status}}\t{{.App}}\t{{.Pod}}",
				Headings: map[string]string{"Path": "PATH ON DISK", "App": "APPLICATION"},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&filters, "filter", "f", nil, "only files that match `KEY=REGEXP`")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	return cmd
}

// services asks the manager for the services of unit files.
func services(ctx context.Context, m *unit.Manager) manage.Services {
	return manage.Services{
		State: func(service string) (manage.State, error) {
			p, err := m.Properties(ctx, service)
			return manage.State{Loaded: p.Exists(), Active: p.ActiveState, Sub: p.SubState}, err
		},
		Instances: func(template string) ([]string, error) { return m.Instances(ctx, template) },
		Stop:      func(service string) error { return m.Stop(ctx, service) },
	}
}
