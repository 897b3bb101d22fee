// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

func newPodCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pod COMMAND",
		Short: "Manage pods: containers that share a network",
		Args:  wantVerb,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPodCreateCommand(e), newPodStartCommand(e), newPodStopCommand(e), newPodRmCommand(e),
		newPodPsCommand(e), newPodInspectCommand(e), newPodExistsCommand(e))
	return cmd
}

func newPodCreateCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "create [flags] [NAME]",
		Short:   "Create a pod without starting it",
		Example: "  podunit pod create --publish 8080:80 web\n  podunit run -d --pod web docker.io/library/nginx",
	}
	flags := spec.PodFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := flags.Pod(args, e.host())
		if err != nil {
			return err
		}
		x, err := e.openToRun(cmd.Context())
		if err != nil {
			return err
		}
		r, err := x.CreatePod(cmd.Context(), *p, os.Args)
		if err != nil {
			return err
		}
		fmt.Fprintln(e.stdout, r.ID)
		return nil
	}
	return cmd
}

func podName(p pod.Record) string { return p.Name }

// podArgs resolves the pods that a verb means.
func (x *engines) podArgs(args []string, all, ignore bool) ([]pod.Record, error) {
	switch {
	case all && len(args) > 0:
		return nil, errors.New("--all and names exclude each other")
	case all:
		return x.Pods.List()
	case len(args) == 0:
		return nil, errors.New("which pod? give a name or ID, or --all")
	}
	var out []pod.Record
	var errs []error
	for _, name := range args {
		r, err := x.Pods.Lookup(name)
		switch {
		case err == nil:
			out = append(out, r)
		case ignore && errors.Is(err, pod.ErrNotFound):
		default:
			errs = append(errs, err)
		}
	}
	return out, errors.Join(errs...)
}

func newPodStartCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "start [flags] POD...",
		Short:             "Start pods and the containers that were created in them",
		ValidArgsFunction: completePods(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.openToRun(ctx)
			if err != nil {
				return err
			}
			pods, err := x.podArgs(args, all, false)
			errs := []error{err}
			for _, p := range pods {
				if err := x.StartPod(ctx, p); err != nil {
					errs = append(errs, err)
					continue
				}
				errs = append(errs, x.StartMembers(ctx, p))
				if !x.InService() {
					fmt.Fprintln(e.stdout, p.Name)
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "start all pods")
	return cmd
}

func newPodStopCommand(e *env) *cobra.Command {
	var all, ignore bool
	var patience patience
	cmd := &cobra.Command{
		Use:               "stop [flags] POD...",
		Short:             "Stop pods and their containers",
		ValidArgsFunction: completePods(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.open(ctx)
			if err != nil {
				return err
			}
			pods, err := x.podArgs(args, all, ignore)
			d := patience.or(x.StopTimeout())
			return forEach(e, pods, err, podName, func(p pod.Record) error { return x.StopPod(ctx, p, d) })
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "stop all pods")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "a pod that does not exist is no error")
	patience.flag(cmd)
	return cmd
}

func newPodRmCommand(e *env) *cobra.Command {
	var all, force, ignore bool
	var patience patience
	cmd := &cobra.Command{
		Use:               "rm [flags] POD...",
		Short:             "Remove pods",
		ValidArgsFunction: completePods(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.openToRun(ctx)
			if err != nil {
				return err
			}
			pods, err := x.podArgs(args, all, ignore || force)
			d := patience.or(x.StopTimeout())
			return forEach(e, pods, err, podName, func(p pod.Record) error { return x.RemovePod(ctx, p, force, d) })
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "remove all pods")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop a running pod first and remove its containers")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "a pod that does not exist is no error")
	patience.flag(cmd)
	return cmd
}

func newPodExistsCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists POD",
		Short:             "Tell by the exit status whether a pod exists: 0 or 1",
		Args:              wantArgs(1, 1),
		ValidArgsFunction: completePods(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			if _, err = x.Pods.Lookup(args[0]); errors.Is(err, pod.ErrNotFound) {
				return exitStatus(1)
			}
			return err
		},
	}
}

// listedPod is a row of pod ps; the names of fields are podman's.
type listedPod struct {
	ID                 string            `json:"-"`
	IDFull             string            `json:"Id"`
	Name               string            `json:"Name"`
	Status             string            `json:"Status"`
	Created            string            `json:"-"`
	CreatedAt          time.Time         `json:"Created"`
	InfraID            string            `json:"InfraId"`
	Members            []listedMember    `json:"Containers"`
	NumberOfContainers int               `json:"-"`
	ContainerIds       string            `json:"-"`
	ContainerNames     string            `json:"-"`
	ContainerStatuses  string            `json:"-"`
	Networks           []string          `json:"Networks"`
	Labels             map[string]string `json:"Labels"`
	Ports              string            `json:"Ports"`
	Unit               string            `json:"Unit"`
}

type listedMember struct {
	ID     string `json:"Id"`
	Names  string
	Status string
}

// podRow describes a pod. Its state follows from its processes, as podman words it.
func (x *engines) podRow(p pod.Record, rows []listed, short bool) listedPod {
	s := x.Pods.Status(p)
	row := listedPod{
		ID: p.ID, IDFull: p.ID, Name: p.Name, CreatedAt: p.Created, InfraID: fmt.Sprint(s.InfraPID),
		Created: units.HumanDuration(time.Since(p.Created)) + " ago", Labels: p.Spec.Labels, Unit: s.Unit,
		Members: []listedMember{},
	}
	if row.Unit == "" {
		row.Unit = p.Unit
	}
	var ids, names, states, ports []string
	running, exited := 0, 0
	for _, c := range rows {
		if c.record.PodID != p.ID {
			continue
		}
		row.Members = append(row.Members, listedMember{c.IDFull, c.Names, c.State})
		ids, names, states = append(ids, c.ID), append(names, c.Names), append(states, c.State)
		switch c.State {
		case string(container.Running), string(container.Paused):
			running++
		case string(container.Exited):
			exited++
		}
	}
	for _, m := range s.Ports {
		ports = append(ports, arrow(m))
	}
	row.NumberOfContainers = len(ids)
	row.ContainerIds, row.ContainerNames, row.ContainerStatuses = strings.Join(ids, ","), strings.Join(names, ","), strings.Join(states, ",")
	row.Ports = strings.Join(ports, ", ")
	if s.InfraPID != 0 {
		row.Networks = []string{s.NetNS}
	}
	switch {
	case s.InfraPID == 0 && s.StartedAt.IsZero():
		row.Status = "Created"
	case s.InfraPID == 0:
		row.Status = "Exited"
	case exited > 0:
		row.Status = "Degraded"
	default:
		row.Status = "Running"
	}
	if short {
		row.ID = row.ID[:12]
	}
	return row
}

func newPodPsCommand(e *env) *cobra.Command {
	var quiet, noTrunc, noHeading, ids, names, status bool
	var out, sort string
	var filters []string
	cmd := &cobra.Command{
		Use:     "ps [flags]",
		Aliases: []string{"ls", "list"},
		Short:   "List pods",
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			match, err := podFilters(filters)
			if err != nil {
				return err
			}
			pods, err := x.Pods.List()
			if err != nil {
				return err
			}
			containers, err := x.rows(!noTrunc)
			if err != nil {
				return err
			}
			var rows []listedPod
			for _, p := range pods {
				if row := x.podRow(p, containers, !noTrunc); match(row) {
					rows = append(rows, row)
				}
			}
			key := map[string]func(a, b listedPod) int{
				"created": func(a, b listedPod) int { return b.CreatedAt.Compare(a.CreatedAt) },
				"id":      func(a, b listedPod) int { return cmp.Compare(a.IDFull, b.IDFull) },
				"name":    func(a, b listedPod) int { return cmp.Compare(a.Name, b.Name) },
				"status":  func(a, b listedPod) int { return cmp.Compare(a.Status, b.Status) },
				"number":  func(a, b listedPod) int { return cmp.Compare(a.NumberOfContainers, b.NumberOfContainers) },
			}[sort]
			if key == nil {
				return fmt.Errorf("--sort %q is none of created, id, name, number, status", sort)
			}
			slices.SortStableFunc(rows, key)
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(e.stdout, r.ID)
				}
				return nil
			}
			if format.IsJSON(out) {
				return format.JSON(e.stdout, rows)
			}
			columns := "{{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Created}}\t{{.NumberOfContainers}}\t{{.Ports}}"
			for _, c := range []struct {
				want  bool
				field string
			}{{ids, "ContainerIds"}, {names, "ContainerNames"}, {status, "ContainerStatuses"}} {
				if c.want {
					columns += "\t{{." + c.field + "}}"
				}
			}
			return format.Rows(e.stdout, format.Table{
				Format: out, Default: columns, NoHeading: noHeading,
				Headings: map[string]string{
					"ID": "POD ID", "NumberOfContainers": "# OF CONTAINERS", "ContainerIds": "IDS",
					"ContainerNames": "NAMES", "ContainerStatuses": "STATUS",
				},
			}, rows)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&quiet, "quiet", "q", false, "only IDs")
	f.BoolVar(&noTrunc, "no-trunc", false, "whole IDs")
	f.BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	f.BoolVar(&ids, "ctr-ids", false, "show the IDs of the containers")
	f.BoolVar(&names, "ctr-names", false, "show the names of the containers")
	f.BoolVar(&status, "ctr-status", false, "show the states of the containers")
	f.StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	f.StringVar(&sort, "sort", "created", "by created, id, name, number or status")
	f.StringArrayVarP(&filters, "filter", "f", nil, "`KEY=VALUE`: name, id, status, label, ctr-names, ctr-ids, ctr-status, unit")
	return cmd
}

func podFilters(filters []string) (func(listedPod) bool, error) {
	test := map[string]func(r listedPod, v string) bool{
		"name":   func(r listedPod, v string) bool { return matches(r.Name, v) },
		"id":     func(r listedPod, v string) bool { return strings.HasPrefix(r.IDFull, v) },
		"status": func(r listedPod, v string) bool { return strings.EqualFold(r.Status, v) },
		"label":  func(r listedPod, v string) bool { return hasLabel(r.Labels, v) },
		"unit":   func(r listedPod, v string) bool { return r.Unit == v || r.Unit == v+".service" },
		"ctr-names": func(r listedPod, v string) bool {
			return anyMember(r, func(m listedMember) bool { return matches(m.Names, v) })
		},
		"ctr-ids": func(r listedPod, v string) bool {
			return anyMember(r, func(m listedMember) bool { return strings.HasPrefix(m.ID, v) })
		},
		"ctr-status": func(r listedPod, v string) bool {
			return anyMember(r, func(m listedMember) bool { return m.Status == v })
		},
	}
	byKey := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || value == "" || test[key] == nil {
			return nil, fmt.Errorf("--filter %q: write KEY=VALUE with one of ctr-ids, ctr-names, ctr-status, id, label, name, status, unit", f)
		}
		byKey[key] = append(byKey[key], value)
	}
	return func(r listedPod) bool {
		for key, values := range byKey {
			if !slices.ContainsFunc(values, func(v string) bool { return test[key](r, v) }) {
				return false
			}
		}
		return true
	}, nil
}

func anyMember(r listedPod, is func(listedMember) bool) bool {
	return slices.ContainsFunc(r.Members, is)
}

// inspectedPod is what pod inspect shows; field names are podman's.
type inspectedPod struct {
	ID               string `json:"Id"`
	Name             string
	Created          time.Time
	CreateCommand    []string
	ExitPolicy       string
	State            string
	Hostname         string
	Labels           map[string]string `json:",omitempty"`
	SharedNamespaces []string
	InfraPid         int
	NumContainers    int
	Containers       []inspectedMember
	InfraConfig      map[string]any
	IPAddresses      []string
	Unit             string
}

type inspectedMember struct {
	ID    string `json:"Id"`
	Name  string
	State string
}

func newPodInspectCommand(e *env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:               "inspect [flags] POD...",
		Short:             "Show all there is to know about pods",
		Args:              wantArgs(1, -1),
		ValidArgsFunction: completePods(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			containers, err := x.rows(false)
			if err != nil {
				return err
			}
			pods, err := x.podArgs(args, false, false)
			var all []inspectedPod
			for _, p := range pods {
				all = append(all, x.inspectedPod(p, containers))
			}
			if len(all) > 0 || err == nil {
				err = errors.Join(err, format.Each(e.stdout, out, all))
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	return cmd
}

func (x *engines) inspectedPod(p pod.Record, containers []listed) inspectedPod {
	row, s := x.podRow(p, containers, false), x.Pods.Status(p)
	one := inspectedPod{
		ID: p.ID, Name: p.Name, Created: p.Created, CreateCommand: p.Args, ExitPolicy: p.Spec.ExitPolicy,
		State: row.Status, Hostname: cmp.Or(p.Spec.Hostname, p.Name), Labels: p.Spec.Labels,
		SharedNamespaces: p.Spec.Share, InfraPid: s.InfraPID, NumContainers: len(row.Members),
		IPAddresses: s.IPs, Unit: row.Unit,
		InfraConfig: map[string]any{"PortBindings": bindings(p.Spec.Publish), "HostNetwork": p.HostNetwork()},
	}
	for _, m := range row.Members {
		one.Containers = append(one.Containers, inspectedMember{m.ID, m.Names, m.Status})
	}
	return one
}

// podOf is the pod of a container, or the zero value.
func podOf(x *engines, r container.Record) pod.Record {
	if r.PodID == "" {
		return pod.Record{}
	}
	p, err := x.Pods.Lookup(r.PodID)
	if err != nil {
		return pod.Record{}
	}
	return p
}
