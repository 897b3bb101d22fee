// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"regexp"
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

// listed is a row of ps; the names of fields are podman's, for templates and JSON.
type listed struct {
	ID         string   `json:"-"`
	IDFull     string   `json:"Id"`
	Names      string   `json:"-"`
	NameList   []string `json:"Names"`
	Image      string
	ImageID    string
	Command    string   `json:"-"`
	Cmd        []string `json:"Command"`
	Created    string   `json:"CreatedAt"`
	CreatedAt  string   `json:"-"`
	RunningFor string   `json:"-"`
	Unix       int64    `json:"Created"`
	Status     string
	State      string
	Ports      string
	Pod        string
	PodName    string
	Labels     map[string]string
	Networks   []string
	Mounts     []string
	Pid        int
	ExitCode   int
	StartedAt  int64
	ExitedAt   int64
	Exited     bool
	Restarts   int
	Unit       string
	Namespace  struct{} `json:"-"`
	record     container.Record
}

func newPsCommand(e *env) *cobra.Command {
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
		Args:    wantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.open(cmd.Context())
			if err != nil {
				return err
			}
			match, err := containerFilters(x, filters)
			if err != nil {
				return err
			}
			rows, err := x.rows(!noTrunc)
			if err != nil {
				return err
			}
			stateAsked := slices.ContainsFunc(filters, func(f string) bool { return strings.HasPrefix(f, "status=") })
			if last > 0 || latest {
				slices.SortStableFunc(rows, func(a, b listed) int { return b.record.Created.Compare(a.record.Created) })
				if latest {
					last = 1
				}
				rows = rows[:min(last, len(rows))]
			}
			rows = slices.DeleteFunc(rows, func(r listed) bool {
				return !match(r) || !all && last == 0 && !stateAsked && r.State != string(container.Running)
			})
			if err := sortContainers(rows, sort); err != nil {
				return err
			}
			if quiet {
				for _, r := range rows {
					fmt.Fprintln(e.stdout, r.ID)
				}
				return nil
			}
			if format.IsJSON(out) || strings.Contains(out, ".Restarts") {
				for i := range rows {
					rows[i].Restarts = x.Restarts(cmd.Context(), rows[i].Unit)
				}
			}
			if format.IsJSON(out) {
				return format.JSON(e.stdout, rows)
			}
			columns := "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Created}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
			if withPod {
				columns += "\t{{.Pod}}\t{{.PodName}}"
			}
			return format.Rows(e.stdout, format.Table{
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
	f.StringArrayVarP(&filters, "filter", "f", nil, "`KEY=VALUE`: name, id, status, label, ancestor, pod, exited, volume, network, unit")
	return cmd
}

// rows describes all containers.
func (x *engines) rows(short bool) ([]listed, error) {
	records, err := x.Containers.List()
	if err != nil {
		return nil, err
	}
	pods, err := x.Pods.List()
	if err != nil {
		return nil, err
	}
	names := map[string]pod.Record{}
	for _, p := range pods {
		names[p.ID] = p
	}
	var rows []listed
	for _, r := range records {
		row, err := x.row(r, names[r.PodID], short)
		if errors.Is(err, container.ErrNotFound) {
			continue // removed while we looked
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (x *engines) row(r container.Record, p pod.Record, short bool) (listed, error) {
	s, err := x.Containers.Status(r.ID)
	if err != nil {
		return listed{}, err
	}
	exit, err := x.Containers.Exit(r.ID)
	if err != nil {
		if _, lerr := x.Containers.Lookup(r.ID); lerr != nil {
			return listed{}, lerr
		}
		return listed{}, err
	}
	command := r.Command()
	row := listed{
		ID: r.ID, IDFull: r.ID, Names: r.Name, NameList: []string{r.Name}, Image: r.ImageName, ImageID: r.ImageID,
		Command: strings.Join(command, " "), Cmd: command, Unix: r.Created.Unix(),
		CreatedAt: r.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		Labels:    r.Labels(), PodName: p.Name, Pod: r.PodID, Pid: s.PID, Unit: s.Unit, record: r,
	}
	if row.Unit == "" {
		row.Unit = r.Unit
	}
	row.Created = units.HumanDuration(time.Since(r.Created)) + " ago"
	row.RunningFor = row.Created
	if r.Spec.Rootfs != nil {
		row.Image = r.Spec.Rootfs.Path
	}
	for _, m := range r.Spec.Mounts {
		row.Mounts = append(row.Mounts, m.Destination)
	}
	published := s.Ports
	if p.ID != "" {
		published = x.Pods.Status(p).Ports
	}
	var ports []string
	for _, m := range published {
		ports = append(ports, arrow(m))
	}
	row.Ports = strings.Join(ports, ", ")
	if s.NetNS != "" {
		row.Networks = []string{s.NetNS}
	}
	switch {
	case s.PID != 0:
		row.State = string(container.Running)
		if x.Containers.Frozen(s.Cgroup) {
			row.State = string(container.Paused)
		}
		row.StartedAt = s.StartedAt.Unix()
		row.Status = "Up " + units.HumanDuration(time.Since(s.StartedAt))
		if row.State == string(container.Paused) {
			row.Status += " (Paused)"
		}
	case exit != nil:
		row.State, row.Exited, row.ExitCode = string(container.Exited), true, exit.Code
		row.StartedAt, row.ExitedAt = exit.StartedAt.Unix(), exit.FinishedAt.Unix()
		row.Status = fmt.Sprintf("Exited (%d) %s ago", exit.Code, units.HumanDuration(time.Since(exit.FinishedAt)))
	case !s.StartedAt.IsZero():
		row.State, row.Exited = string(container.Exited), true
		row.Status = "Exited"
	default:
		row.State, row.Status = string(container.Created), "Created"
	}
	if short {
		row.ID, row.ImageID = row.ID[:12], row.ImageID[:min(12, len(row.ImageID))]
		row.Pod = row.Pod[:min(12, len(row.Pod))]
		if len(row.Command) > 20 {
			row.Command = row.Command[:17] + "..."
		}
	}
	return row, nil
}

func sortContainers(rows []listed, by string) error {
	key := map[string]func(a, b listed) int{
		"command":    func(a, b listed) int { return cmp.Compare(a.Command, b.Command) },
		"created":    func(a, b listed) int { return a.record.Created.Compare(b.record.Created) },
		"id":         func(a, b listed) int { return cmp.Compare(a.IDFull, b.IDFull) },
		"image":      func(a, b listed) int { return cmp.Compare(a.Image, b.Image) },
		"names":      func(a, b listed) int { return cmp.Compare(a.Names, b.Names) },
		"runningfor": func(a, b listed) int { return cmp.Compare(a.StartedAt, b.StartedAt) },
		"status":     func(a, b listed) int { return cmp.Compare(a.State, b.State) },
	}[by]
	if key == nil {
		return fmt.Errorf("--sort %q is none of command, created, id, image, names, runningfor, status", by)
	}
	slices.SortStableFunc(rows, key)
	return nil
}

// containerFilters reads --filter: values of one key are alternatives, keys add up.
func containerFilters(x *engines, filters []string) (func(listed) bool, error) {
	byKey := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || value == "" {
			return nil, fmt.Errorf("--filter %q: write KEY=VALUE, such as --filter name=web", f)
		}
		byKey[key] = append(byKey[key], value)
	}
	test := map[string]func(r listed, v string) bool{
		"name":   func(r listed, v string) bool { return matches(r.Names, v) },
		"id":     func(r listed, v string) bool { return strings.HasPrefix(r.IDFull, v) },
		"status": func(r listed, v string) bool { return r.State == v || v == "stopped" && r.State == "exited" },
		"exited": func(r listed, v string) bool { return r.Exited && fmt.Sprint(r.ExitCode) == v },
		"label":  func(r listed, v string) bool { return hasLabel(r.Labels, v) },
		"pod": func(r listed, v string) bool {
			return r.PodName == v || v != "" && strings.HasPrefix(r.record.PodID, v)
		},
		"volume":  func(r listed, v string) bool { return usesVolume(r.record, v) },
		"network": func(r listed, v string) bool { return slices.Contains(r.Networks, v) },
		"unit":    func(r listed, v string) bool { return r.Unit == v || r.Unit == v+".service" },
		"ancestor": func(r listed, v string) bool {
			name, tag, _ := strings.Cut(path.Base(r.Image), ":")
			return r.Image == v || strings.HasPrefix(r.record.ImageID, v) || strings.HasPrefix(r.Image, v+":") || path.Base(r.Image) == v || name == v && tag == "latest"
		},
	}
	for key, values := range byKey {
		if test[key] == nil {
			return nil, fmt.Errorf("--filter %s=%s: there is no such key; there are ancestor, exited, id, label, name, network, pod, status, unit, volume", key, values[0])
		}
	}
	return func(r listed) bool {
		for key, values := range byKey {
			if !slices.ContainsFunc(values, func(v string) bool { return test[key](r, v) }) {
				return false
			}
		}
		return true
	}, nil
}

// hasLabel tests NAME or NAME=VALUE.
func hasLabel(labels map[string]string, want string) bool {
	name, value, exact := strings.Cut(want, "=")
	got, ok := labels[name]
	return ok && (!exact || got == value)
}

func usesVolume(r container.Record, want string) bool {
	for _, m := range r.Spec.Mounts {
		if m.Source == want || m.Destination == want {
			return true
		}
	}
	return false
}

// arrow draws a published port as ps has it: 0.0.0.0:8080->80/tcp.
func arrow(m spec.PortMapping) string {
	ip := "0.0.0.0"
	if m.HostIP.IsValid() {
		ip = m.HostIP.String()
		if m.HostIP.Is6() {
			ip = "[" + ip + "]"
		}
	}
	ports := func(first uint16) string {
		if m.Range > 1 {
			return fmt.Sprintf("%d-%d", first, first+m.Range-1)
		}
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%s:%s->%s/%s", ip, ports(m.HostPort), ports(m.ContainerPort), m.Protocol)
}

// matches tests a name against an unanchored regular expression, as podman's filters do;
// what is no expression is taken literally.
func matches(name, pattern string) bool {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return strings.Contains(name, pattern)
	}
	return re.MatchString(name)
}
