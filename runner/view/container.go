// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
)

// ContainerRow is a row of ps; the names of fields are podman's, for templates and JSON.
type ContainerRow struct {
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
	Ports      string `json:"-"`
	Pod        string
	PodName    string
	Labels     Labels
	Networks   Names
	Mounts     Names
	Pid        int
	ExitCode   int
	StartedAt  int64
	ExitedAt   int64
	Exited     bool
	Restarts   int
	Unit       string
	AutoRemove bool
	CIDFile    string
	IsInfra    bool                // never: what holds the namespaces of a pod is no container
	Sizes      *Sizes              `json:"Size"`
	Exposed    map[uint16][]string `json:"ExposedPorts"`
	Published  []PublishedPorts    `json:"Ports"`
	Namespaces Namespaces          // those of its first process, with ps --namespace
	layer      string              // the ID of its own
	record     container.Record
	health     string // of one that runs and is checked
}

// Sizes are those of a container's layers in bytes.
type Sizes struct {
	RootFs int64 `json:"rootFsSize"` // of all
	Rw     int64 `json:"rwSize"`     // of its own
}

func (s *Sizes) bytes() int64 {
	if s == nil {
		return 0
	}
	return s.RootFs
}

// Size is the container's size for a table, empty without --size.
func (r ContainerRow) Size() string {
	if r.Sizes == nil {
		return ""
	}
	return fmt.Sprintf("%s (virtual %s)", humanSize(r.Sizes.Rw), humanSize(r.Sizes.RootFs))
}

// humanSize is a size as ps has it: three digits.
func humanSize(n int64) string { return units.HumanSizeWithPrecision(float64(n), 3) }

// PublishedPorts is a published port, or several in a row, in JSON.
type PublishedPorts struct {
	HostIP        string `json:"host_ip"`
	ContainerPort uint16 `json:"container_port"`
	HostPort      uint16 `json:"host_port"`
	Range         uint16 `json:"range"`
	Protocol      string `json:"protocol"`
}

// Namespaces are the numbers of the namespaces that a process is in.
type Namespaces struct {
	Cgroup string `json:",omitempty"`
	IPC    string `json:",omitempty"`
	MNT    string `json:",omitempty"`
	NET    string `json:",omitempty"`
	PIDNS  string `json:",omitempty"`
	USERNS string `json:",omitempty"`
	UTS    string `json:",omitempty"`
}

// The columns of ps --namespace.

// CGROUPNS is the number of the cgroup namespace.
func (r ContainerRow) CGROUPNS() string { return r.Namespaces.Cgroup }

// IPC is the number of the IPC namespace.
func (r ContainerRow) IPC() string { return r.Namespaces.IPC }

// MNT is the number of the mount namespace.
func (r ContainerRow) MNT() string { return r.Namespaces.MNT }

// NET is the number of the network namespace.
func (r ContainerRow) NET() string { return r.Namespaces.NET }

// PIDNS is the number of the PID namespace.
func (r ContainerRow) PIDNS() string { return r.Namespaces.PIDNS }

// USERNS is the number of the user namespace.
func (r ContainerRow) USERNS() string { return r.Namespaces.USERNS }

// UTS is the number of the UTS namespace.
func (r ContainerRow) UTS() string { return r.Namespaces.UTS }

// namespacesOf a process; those that cannot be read are left empty.
func namespacesOf(pid int) Namespaces {
	number := func(kind string) string {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		_, id, ok := strings.Cut(to, ":[")
		if err != nil || !ok {
			return ""
		}
		return strings.TrimSuffix(id, "]")
	}
	return Namespaces{
		Cgroup: number("cgroup"), IPC: number("ipc"), MNT: number("mnt"), NET: number("net"),
		PIDNS: number("pid"), USERNS: number("user"), UTS: number("uts"),
	}
}

// AddNamespaces finds the namespaces of containers that run.
func AddNamespaces(rows []ContainerRow) {
	for i := range rows {
		if rows[i].Pid != 0 {
			rows[i].Namespaces = namespacesOf(rows[i].Pid)
		}
	}
}

// Names are drawn in a table with commas between them.
type Names []string

func (n Names) String() string { return strings.Join(n, ",") }

// Label is the value of a label, for templates; empty if there is none.
func (r ContainerRow) Label(name string) string { return r.Labels[name] }

// Containers describes all containers, with short IDs and commands if short is set.
func Containers(x *service.Engine, short bool) ([]ContainerRow, error) {
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
	var rows []ContainerRow
	for _, r := range records {
		row, err := containerRow(x, r, names[r.PodID], short)
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

func containerRow(x *service.Engine, r container.Record, p pod.Record, short bool) (ContainerRow, error) {
	s, err := x.Containers.StatusOf(r)
	if err != nil {
		return ContainerRow{}, err
	}
	exit, err := x.Containers.Exit(r.ID)
	if err != nil {
		if _, lerr := x.Containers.Lookup(r.ID); lerr != nil {
			return ContainerRow{}, lerr
		}
		return ContainerRow{}, err
	}
	command := r.Command()
	row := ContainerRow{
		ID: r.ID, IDFull: r.ID, Names: r.Name, NameList: []string{r.Name}, Image: r.ImageName, ImageID: r.ImageID,
		Command: strings.Join(command, " "), Cmd: command, Unix: r.Created.Unix(),
		CreatedAt:  r.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		AutoRemove: r.Spec.Remove, CIDFile: r.Spec.CIDFile, Mounts: Names{}, Networks: Names{},
		Labels: r.Labels(), PodName: p.Name, Pod: r.PodID, Pid: s.PID, Unit: s.Unit, layer: r.ID, record: r,
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
		row.Published = append(row.Published, publishedPorts(m))
	}
	row.Ports = strings.Join(ports, ", ")
	if s.NetworkMode != "" {
		row.Networks = []string{s.NetworkMode}
	}
	if names := onNetworks(x, r.Spec.Networking, s.PID != 0, x.Containers.Dir(r.ID)); len(names) > 0 {
		row.Networks = names
	}
	if err := row.state(x, s, exit); err != nil {
		return ContainerRow{}, err
	}
	if short {
		row.shorten()
	}
	return row, nil
}

// state fills in how the container is; exit is nil until it has ended once.
func (r *ContainerRow) state(x *service.Engine, s container.Status, exit *container.Exit) error {
	switch {
	case s.PID != 0:
		r.State = string(container.Running)
		if cgroup.Frozen(s.Cgroup) {
			r.State = string(container.Paused)
		}
		r.StartedAt = s.StartedAt.Unix()
		r.Status = "Up " + units.HumanDuration(time.Since(s.StartedAt))
		switch {
		case r.State == string(container.Paused):
			r.Status += " (Paused)"
		case x.Containers.Stopping(r.IDFull, s):
			r.State, r.Status = string(container.Stopping), "Stopping"
		}
		h, err := x.Health(r.record)
		if err != nil {
			return err
		}
		if h != nil {
			r.health = string(h.Status)
			r.Status += " (" + r.health + ")"
		}
	case exit != nil:
		r.State, r.Exited, r.ExitCode = string(container.Exited), true, exit.Code
		r.StartedAt, r.ExitedAt = exit.StartedAt.Unix(), exit.FinishedAt.Unix()
		r.Status = fmt.Sprintf("Exited (%d) %s ago", exit.Code, units.HumanDuration(time.Since(exit.FinishedAt)))
	case !s.StartedAt.IsZero():
		r.State, r.Exited = string(container.Exited), true
		r.Status = "Exited"
	default:
		r.State, r.Status = string(container.Created), "Created"
	}
	return nil
}

// shorten leaves of IDs and the command what fits in a table.
func (r *ContainerRow) shorten() {
	r.ID, r.ImageID = r.ID[:min(12, len(r.ID))], r.ImageID[:min(12, len(r.ImageID))]
	r.Pod = r.Pod[:min(12, len(r.Pod))]
	if len(r.Command) > 20 {
		r.Command = r.Command[:17] + "..."
	}
}

// ByAge puts the container that was made last first.
func ByAge(rows []ContainerRow) {
	slices.SortStableFunc(rows, func(a, b ContainerRow) int { return b.record.Created.Compare(a.record.Created) })
}

// SortContainers sorts by the word of podunit ps --sort.
func SortContainers(rows []ContainerRow, by string) error {
	key := map[string]func(a, b ContainerRow) int{
		"command":    func(a, b ContainerRow) int { return cmp.Compare(a.Command, b.Command) },
		"created":    func(a, b ContainerRow) int { return a.record.Created.Compare(b.record.Created) },
		"id":         func(a, b ContainerRow) int { return cmp.Compare(a.IDFull, b.IDFull) },
		"image":      func(a, b ContainerRow) int { return cmp.Compare(a.Image, b.Image) },
		"names":      func(a, b ContainerRow) int { return cmp.Compare(a.Names, b.Names) },
		"size":       func(a, b ContainerRow) int { return cmp.Compare(a.Sizes.bytes(), b.Sizes.bytes()) },
		"runningfor": func(a, b ContainerRow) int { return cmp.Compare(a.StartedAt, b.StartedAt) },
		"status":     func(a, b ContainerRow) int { return cmp.Compare(a.State, b.State) },
	}[by]
	if key == nil {
		return fmt.Errorf("--sort %q is none of command, created, id, image, names, runningfor, size, status", by)
	}
	slices.SortStableFunc(rows, key)
	return nil
}

// containerFilters are the keys of podunit ps --filter. Source: podman-ps(1).
var containerFilters = Filters[ContainerRow]{
	"name":    Any(func(r ContainerRow, v string) bool { return matchesName(r.Names, v) }),
	"id":      Any(func(r ContainerRow, v string) bool { return matchesID(r.IDFull, v) }),
	"command": Any(func(r ContainerRow, v string) bool { return len(r.Cmd) > 0 && strings.HasPrefix(r.Cmd[0], v) }),
	"until":   made(func(r ContainerRow) time.Time { return r.record.Created }, time.Time.Before),
	"restart-policy": AnyOf(func(v string) (func(ContainerRow) bool, error) {
		if !slices.Contains(restartPolicies, v) {
			return nil, fmt.Errorf("invalid restart policy: it is one of %s", strings.Join(restartPolicies, ", "))
		}
		return func(r ContainerRow) bool { return cmp.Or(r.record.Spec.Restart.Policy, "no") == v }, nil
	}),
	"status": AnyOf(func(v string) (func(ContainerRow) bool, error) {
		if !slices.Contains(states, v) {
			return nil, fmt.Errorf("unknown container state: %s", v)
		}
		return func(r ContainerRow) bool { return r.State == v || v == "stopped" && r.State == "exited" }, nil
	}),
	"exited": AnyOf(func(v string) (func(ContainerRow) bool, error) {
		code, err := strconv.Atoi(v)
		if err != nil {
			return nil, errors.New("want an exit status, a number")
		}
		return func(r ContainerRow) bool { return r.Exited && r.ExitCode == code }, nil
	}),
	"label":   All(func(r ContainerRow, v string) bool { return hasLabel(r.Labels, v) }),
	"label!":  All(func(r ContainerRow, v string) bool { return !hasLabel(r.Labels, v) }),
	"pod":     Any(func(r ContainerRow, v string) bool { return r.PodName == v || strings.HasPrefix(r.record.PodID, v) }),
	"health":  Any(func(r ContainerRow, v string) bool { return r.health == v }),
	"volume":  Any(func(r ContainerRow, v string) bool { return usesVolume(r.record, v) }),
	"network": Any(func(r ContainerRow, v string) bool { return slices.Contains(r.Networks, v) }),
	"unit":    Any(func(r ContainerRow, v string) bool { return r.Unit == v || r.Unit == v+".service" }),
	"ancestor": Any(func(r ContainerRow, v string) bool {
		name, tag, _ := strings.Cut(path.Base(r.Image), ":")
		return r.Image == v || strings.HasPrefix(r.record.ImageID, v) || strings.HasPrefix(r.Image, v+":") || path.Base(r.Image) == v || name == v && tag == "latest"
	}),
}

// states are podman's words for where a container is in its life; there is nothing here in some of
// them. Source: podman-ps(1), --filter status.
var states = []string{"configured", "created", "exited", "initialized", "paused", "removing", "running", "stopped", "stopping", "unknown"}

// restartPolicies are the words of --restart.
var restartPolicies = []string{"no", "on-failure", "always", "unless-stopped"}

// ContainerFilters reads --filter of podunit ps; find finds the container that others are older or
// younger than.
func ContainerFilters(filters []string, find func(name string) (container.Record, error)) (func(ContainerRow) bool, error) {
	than := func(first func(time.Time, time.Time) bool) Filter[ContainerRow] {
		return AnyOf(func(v string) (func(ContainerRow) bool, error) {
			other, err := find(v)
			if err != nil {
				return nil, err
			}
			return func(r ContainerRow) bool { return !r.record.Created.IsZero() && first(r.record.Created, other.Created) }, nil
		})
	}
	known := maps.Clone(containerFilters)
	known["before"], known["since"] = than(time.Time.Before), than(time.Time.After)
	return known.Read(filters)
}

func usesVolume(r container.Record, want string) bool {
	for _, m := range r.Spec.Mounts {
		if m.Source == want || m.Destination == want {
			return true
		}
	}
	return false
}
