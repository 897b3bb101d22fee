// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
)

// PodRow is a row of pod ps; the names of fields are podman's.
type PodRow struct {
	ID                 string            `json:"-"`
	IDFull             string            `json:"Id"`
	Name               string            `json:"Name"`
	Status             string            `json:"Status"`
	Created            string            `json:"-"`
	CreatedAt          time.Time         `json:"Created"`
	InfraID            string            `json:"InfraId"`
	Members            []Member          `json:"Containers"`
	NumberOfContainers int               `json:"-"`
	ContainerIds       string            `json:"-"`
	ContainerNames     string            `json:"-"`
	ContainerStatuses  string            `json:"-"`
	Networks           []string          `json:"Networks"`
	Labels             map[string]string `json:"Labels"`
	Ports              string            `json:"Ports"`
	Unit               string            `json:"Unit"`
	Cgroup             string            `json:"Cgroup"`    // of its first process
	Namespace          string            `json:"Namespace"` // podman's, which nobody sets
	restart            string            // its policy
}

// Member is a container of a pod.
type Member struct {
	ID     string `json:"Id"`
	Names  string
	Status string
}

// Pods describes all pods, with short IDs if short is set.
func Pods(x *service.Engine, short bool) ([]PodRow, error) {
	pods, err := x.Pods.List()
	if err != nil {
		return nil, err
	}
	containers, err := Containers(x, short)
	if err != nil {
		return nil, err
	}
	var rows []PodRow
	for _, p := range pods {
		rows = append(rows, podRow(x, p, containers, short))
	}
	return rows, nil
}

// podRow describes a pod. Its state follows from its processes, as podman words it.
func podRow(x *service.Engine, p pod.Record, rows []ContainerRow, short bool) PodRow {
	s := x.Pods.Status(p)
	row := PodRow{
		ID: p.ID, IDFull: p.ID, Name: p.Name, CreatedAt: p.Created, Cgroup: cgroupOf(s.InfraPID), Networks: []string{},
		Created: units.HumanDuration(time.Since(p.Created)) + " ago", Labels: p.Spec.Labels, Unit: s.Unit,
		restart: p.Spec.Restart.Policy,
		Members: []Member{},
	}
	if p.Spec.Infra {
		row.InfraID = p.ID // what holds the namespaces is in no container
	}
	if row.Unit == "" {
		row.Unit = p.Unit
	}
	var ids, names, states, ports []string
	exited, paused := 0, 0
	for _, c := range rows {
		if c.record.PodID != p.ID {
			continue
		}
		row.Members = append(row.Members, Member{c.IDFull, c.Names, c.State})
		ids, names, states = append(ids, c.ID), append(names, c.Names), append(states, c.State)
		if c.State == string(container.Exited) {
			exited++
		}
		if c.State == string(container.Paused) {
			paused++
		}
	}
	for _, m := range s.Ports {
		ports = append(ports, arrow(m))
	}
	row.NumberOfContainers = len(ids)
	row.ContainerIds, row.ContainerNames, row.ContainerStatuses = strings.Join(ids, ","), strings.Join(names, ","), strings.Join(states, ",")
	row.Ports = strings.Join(ports, ", ")
	if s.InfraPID != 0 {
		row.Networks = []string{s.NetworkMode}
		if names := onNetworks(x, p.Spec.Networking, s.InfraPID != 0, x.Pods.Dir(p.ID)); len(names) > 0 {
			row.Networks = names
		}
	}
	switch {
	case s.InfraPID == 0 && s.StartedAt.IsZero():
		row.Status = "Created"
	case s.InfraPID == 0:
		row.Status = "Exited"
	case exited > 0:
		row.Status = "Degraded"
	case paused > 0 && paused == len(ids):
		row.Status = "Paused"
	default:
		row.Status = "Running"
	}
	if short {
		row.ID, row.InfraID = row.ID[:12], row.InfraID[:min(12, len(row.InfraID))]
	}
	return row
}

// cgroupOf a process, as the kernel writes it; empty for none. Source: cgroups(7), /proc/PID/cgroup.
func cgroupOf(pid int) string {
	if pid == 0 {
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "" // it has ended
	}
	for line := range strings.Lines(string(b)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return ""
}

// SortPods sorts by the word of podunit pod ps --sort.
func SortPods(rows []PodRow, by string) error {
	key := map[string]func(a, b PodRow) int{
		"created": func(a, b PodRow) int { return b.CreatedAt.Compare(a.CreatedAt) },
		"id":      func(a, b PodRow) int { return cmp.Compare(a.IDFull, b.IDFull) },
		"name":    func(a, b PodRow) int { return cmp.Compare(a.Name, b.Name) },
		"status":  func(a, b PodRow) int { return cmp.Compare(a.Status, b.Status) },
		"number":  func(a, b PodRow) int { return cmp.Compare(a.NumberOfContainers, b.NumberOfContainers) },
	}[by]
	if key == nil {
		return fmt.Errorf("--sort %q is none of created, id, name, number, status", by)
	}
	slices.SortStableFunc(rows, key)
	return nil
}

// podFilters are the keys of podunit pod ps --filter. Source: podman-pod-ps(1).
var podFilters = Filters[PodRow]{
	"name":  Any(func(r PodRow, v string) bool { return matchesName(r.Name, v) }),
	"id":    Any(func(r PodRow, v string) bool { return matchesID(r.IDFull, v) }),
	"until": made(func(r PodRow) time.Time { return r.CreatedAt }, time.Time.Before),
	"restart-policy": Any(func(r PodRow, v string) bool {
		return cmp.Or(r.restart, "no") == v
	}),
	"network":    Any(func(r PodRow, v string) bool { return slices.Contains(r.Networks, v) }),
	"ctr-number": Any(func(r PodRow, v string) bool { return fmt.Sprint(r.NumberOfContainers) == v }),
	"status": AnyOf(func(v string) (func(PodRow) bool, error) {
		if !slices.Contains(podStates, strings.ToLower(v)) {
			return nil, fmt.Errorf("%s is not a valid pod status", v)
		}
		return func(r PodRow) bool { return strings.EqualFold(r.Status, v) }, nil
	}),
	"label":  All(func(r PodRow, v string) bool { return hasLabel(r.Labels, v) }),
	"label!": All(func(r PodRow, v string) bool { return !hasLabel(r.Labels, v) }),
	"unit":   Any(func(r PodRow, v string) bool { return r.Unit == v || r.Unit == v+".service" }),
	"ctr-names": Any(func(r PodRow, v string) bool {
		return anyMember(r, func(m Member) bool { return matchesName(m.Names, v) })
	}),
	"ctr-ids": Any(func(r PodRow, v string) bool {
		return anyMember(r, func(m Member) bool { return matchesID(m.ID, v) })
	}),
	"ctr-status": Any(func(r PodRow, v string) bool {
		return anyMember(r, func(m Member) bool { return m.Status == v })
	}),
}

// podStates are podman's words for how a pod is. Source: podman-pod-ps(1), --filter status.
var podStates = []string{"created", "running", "paused", "stopped", "exited", "dead", "degraded", "error"}

// PodFilters reads --filter of podunit pod ps.
func PodFilters(filters []string) (func(PodRow) bool, error) { return podFilters.Read(filters) }

func anyMember(r PodRow, is func(Member) bool) bool {
	return slices.ContainsFunc(r.Members, is)
}

// Pod is what pod inspect shows; field names are podman's.
type Pod struct {
	ID               string `json:"Id"`
	Name             string
	Created          time.Time
	CreateCommand    []string
	ExitPolicy       string
	State            string
	Hostname         string
	Labels           map[string]string `json:",omitempty"`
	RestartPolicy    string            `json:",omitempty"`
	CreateCgroup     bool
	CgroupParent     string
	CgroupPath       string
	CreateInfra      bool
	LockNumber       int // always 0: there are no locks of the kind
	SharedNamespaces []string
	InfraPid         int
	InfraContainerID string // the pod's own ID: its first process is in no container
	NumContainers    int
	Containers       []PodMember
	InfraConfig      InfraConfig
	IPAddresses      []string
	Unit             string
	PodLimits
}

// PodLimits are the limits of a pod, in pod inspect.
type PodLimits struct {
	CPUPeriod         uint64     `json:"cpu_period,omitempty"` // microseconds
	CPUQuota          int64      `json:"cpu_quota,omitempty"`  // microseconds
	CPUShares         uint64     `json:"cpu_shares,omitempty"`
	CPUSetCPUs        string     `json:"cpuset_cpus,omitempty"`
	CPUSetMems        string     `json:"cpuset_mems,omitempty"`
	DeviceReadBPS     []RateOf   `json:"device_read_bps,omitempty"`
	DeviceWriteBPS    []RateOf   `json:"device_write_bps,omitempty"`
	BlkioWeight       uint16     `json:"blkio_weight,omitempty"`
	BlkioWeightDevice []WeightOf `json:"blkio_weight_device,omitempty"`
	MemoryLimit       int64      `json:"memory_limit,omitempty"` // bytes
	MemorySwap        int64      `json:"memory_swap,omitempty"`  // bytes
}

// podLimits are the limits that a pod was given.
func podLimits(p pod.Record) PodLimits {
	l := limits(p.Spec.Limits)
	return PodLimits{
		CPUPeriod: l.CpuPeriod, CPUQuota: l.CpuQuota, CPUShares: l.CpuShares, CPUSetCPUs: l.CpusetCpus, CPUSetMems: l.CpusetMems,
		DeviceReadBPS: l.BlkioDeviceReadBps, DeviceWriteBPS: l.BlkioDeviceWriteBps, BlkioWeight: l.BlkioWeight, BlkioWeightDevice: l.BlkioWeightDevice,
		MemoryLimit: l.Memory, MemorySwap: l.MemorySwap,
	}
}

// InfraConfig is how a pod is connected, in pod inspect.
type InfraConfig struct {
	PortBindings       map[string][]Binding
	HostNetwork        bool
	StaticIP           string
	StaticMAC          string
	NoManageResolvConf bool
	DNSServer          []string
	DNSSearch          []string
	DNSOption          []string
	NoManageHostname   bool
	NoManageHosts      bool
	HostAdd            []string
	HostsFile          string
	Networks           []string
	NetworkOptions     map[string][]string
	PIDNS              string `json:"pid_ns"`
	UserNS             string `json:"userns"`
	UTSNS              string `json:"uts_ns"`
}

// infraConfig is how a pod was to be connected.
func infraConfig(p pod.Record) InfraConfig {
	c := InfraConfig{
		PortBindings: bindings(p.Spec.Publish), HostNetwork: p.HostNetwork(), DNSServer: p.Spec.DNS, DNSSearch: p.Spec.DNSSearch,
		DNSOption: p.Spec.DNSOptions, NoManageHosts: p.Spec.NoHosts, NoManageHostname: p.Spec.NoHostname, HostsFile: p.Spec.HostsFile,
		HostAdd: extraHosts(p.Spec.AddHosts), PIDNS: cmp.Or(p.Spec.PIDNS.Mode, "private"), UTSNS: cmp.Or(p.Spec.UTSNS.Mode, "private"),
		UserNS: cmp.Or(p.Spec.UserNS.Mode, "host"), NoManageResolvConf: slices.Contains(p.Spec.DNS, "none"),
	}
	for _, n := range p.Spec.Networks {
		c.Networks = append(c.Networks, cmp.Or(n.Name, n.Mode))
	}
	return c
}

// PodMember is a container in pod inspect.
type PodMember struct {
	ID    string `json:"Id"`
	Name  string
	State string
}

// InspectPod tells all there is to know about a pod.
func InspectPod(x *service.Engine, p pod.Record) (Pod, error) {
	containers, err := Containers(x, false)
	if err != nil {
		return Pod{}, err
	}
	row, s := podRow(x, p, containers, false), x.Pods.Status(p)
	one := Pod{
		ID: p.ID, Name: p.Name, Created: p.Created, CreateCommand: p.Args, ExitPolicy: p.Spec.ExitPolicy,
		State: row.Status, Hostname: cmp.Or(p.Spec.Hostname, p.Name), Labels: p.Spec.Labels,
		SharedNamespaces: p.Spec.Share, InfraPid: s.InfraPID, InfraContainerID: p.ID, NumContainers: len(row.Members),
		IPAddresses: s.IPs, Unit: row.Unit,
		InfraConfig: infraConfig(p), CreateInfra: p.Spec.Infra, CreateCgroup: p.Spec.Infra, CgroupPath: row.Cgroup,
		RestartPolicy: p.Spec.Restart.Policy, PodLimits: podLimits(p),
	}
	for _, m := range row.Members {
		one.Containers = append(one.Containers, PodMember{m.ID, m.Names, m.Status})
	}
	return one, nil
}

// podOf is the pod of a container, or the zero value.
func podOf(x *service.Engine, r container.Record) pod.Record {
	if r.PodID == "" {
		return pod.Record{}
	}
	p, err := x.Pods.Lookup(r.PodID)
	if err != nil {
		return pod.Record{}
	}
	return p
}
