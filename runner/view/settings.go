// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

// HostSettings is how a container is confined and connected, in inspect. What podunit has nothing
// like (links, volume drivers, Windows) is there with the value that podman shows for nothing.
type HostSettings struct {
	Binds           []string
	CgroupManager   string
	CgroupMode      string
	ContainerIDFile string
	LogConfig       LogConfig
	NetworkMode     string
	PortBindings    map[string][]Binding
	RestartPolicy   map[string]any
	AutoRemove      bool
	AutoRemoveImage bool
	Annotations     map[string]string
	VolumeDriver    string
	VolumesFrom     []string
	CapAdd          []string
	CapDrop         []string
	Dns             []string //nolint:revive,staticcheck // docker's and podman's spelling
	DnsOptions      []string //nolint:revive,staticcheck // the same
	DnsSearch       []string //nolint:revive,staticcheck // the same
	ExtraHosts      []string
	HostsFile       string
	GroupAdd        []string
	IpcMode         string
	Cgroup          string
	Cgroups         string
	Links           []string
	OomScoreAdj     int
	PidMode         string
	Privileged      bool
	PublishAllPorts bool
	ReadonlyRootfs  bool
	SecurityOpt     []string
	Tmpfs           map[string]string
	UTSMode         string
	UsernsMode      string
	IDMappings      *IDMappings `json:",omitempty"`
	ShmSize         int64       // bytes
	Runtime         string
	ConsoleSize     [2]uint
	Isolation       string
	Init            bool

	HostLimits
}

// IDMappings are the IDs of a user namespace, in inspect: INSIDE:OUTSIDE:COUNT.
type IDMappings struct{ UidMap, GidMap []string } //nolint:revive,staticcheck // podman's spelling

// LogConfig is where the output of a container goes, in inspect.
type LogConfig struct {
	Type   string
	Config map[string]string
	Path   string
	Tag    string
	Size   string
}

// HostLimits are the resources of a container, in inspect: 0 is no limit, times are in microseconds
// and sizes in bytes.
type HostLimits struct {
	CpuShares            uint64 //nolint:revive,staticcheck // docker's and podman's spelling, so all below
	Memory               int64
	NanoCpus             int64
	CgroupParent         string
	BlkioWeight          uint16
	BlkioWeightDevice    []WeightOf
	BlkioDeviceReadBps   []RateOf
	BlkioDeviceWriteBps  []RateOf
	BlkioDeviceReadIOps  []RateOf
	BlkioDeviceWriteIOps []RateOf
	CpuPeriod            uint64 //nolint:revive,staticcheck // docker's and podman's spelling
	CpuQuota             int64  //nolint:revive,staticcheck // the same
	CpuRealtimePeriod    uint64 //nolint:revive,staticcheck // the same
	CpuRealtimeRuntime   int64  //nolint:revive,staticcheck // the same
	CpusetCpus           string
	CpusetMems           string
	Devices              []DeviceOf
	DiskQuota            uint64
	KernelMemory         int64
	MemoryReservation    int64
	MemorySwap           int64
	MemorySwappiness     int64
	OomKillDisable       bool
	PidsLimit            int64
	Ulimits              []Limit
	CpuCount             uint64 //nolint:revive,staticcheck // the same
	CpuPercent           uint64 //nolint:revive,staticcheck // the same
	IOMaximumIOps        uint64
	IOMaximumBandwidth   uint64
	CgroupConf           map[string]string
}

// WeightOf is the weight of a device for the scheduler of its input and output.
type WeightOf struct {
	Path   string
	Weight uint16
}

// RateOf is the most a device gets to do in a second: bytes or operations.
type RateOf struct {
	Path string
	Rate uint64
}

// DeviceOf is a device that a container was given.
type DeviceOf struct {
	PathOnHost, PathInContainer, CgroupPermissions string
}

// Limit is a limit of the processes of a container.
type Limit struct {
	Name       string
	Soft, Hard int64
}

// usernsMode is the mode without its options, or whose namespace it is.
func usernsMode(u spec.UserNS) string {
	if u.Joins() {
		return u.String()
	}
	return u.Mode
}

// hostSettings is how a container was to be confined and connected.
func hostSettings(r container.Record) HostSettings {
	out := HostSettings{
		NetworkMode: networkMode(r), PortBindings: bindings(r.Spec.Ports()), AutoRemove: r.Spec.Remove,
		RestartPolicy: map[string]any{"Name": cmp.Or(r.Spec.Restart.Policy, "no"), "MaximumRetryCount": r.Spec.Restart.Max},
		Privileged:    r.Spec.Privileged, ReadonlyRootfs: r.Spec.ReadOnly, Init: r.Spec.Init, CapAdd: list(r.Spec.CapAdd),
		CapDrop: list(r.Spec.CapDrop), SecurityOpt: list(r.Spec.Security.Options()), UsernsMode: usernsMode(r.Spec.UserNS),
		ShmSize: defaultShmSize, Annotations: orEmpty(r.Spec.Annotations), CgroupManager: "systemd", Binds: []string{}, Links: []string{},
		LogConfig: LogConfig{Type: cmp.Or(r.Spec.Log.Driver, "journald"), Tag: r.Spec.Log.Tag, Path: r.Spec.Log.Path, Size: strconv.FormatInt(r.Spec.Log.MaxSize, 10) + "B"},
		Cgroups:   cmp.Or(r.Spec.Cgroups, "split"), Tmpfs: map[string]string{}, ContainerIDFile: r.Spec.CIDFile,
		Dns: list(r.Spec.DNS), DnsOptions: list(r.Spec.DNSOptions), DnsSearch: list(r.Spec.DNSSearch), HostsFile: r.Spec.HostsFile,
		ExtraHosts: list(extraHosts(r.Spec.AddHosts)), GroupAdd: list(r.Spec.Groups), PublishAllPorts: r.Spec.PublishAll,
		IpcMode: namespaceMode(r, r.Spec.IPCNS, "ipc", "shareable"), PidMode: namespaceMode(r, r.Spec.PIDNS, "pid", "private"),
		UTSMode: namespaceMode(r, r.Spec.UTSNS, "uts", "private"), CgroupMode: namespaceMode(r, r.Spec.CgroupNS, "cgroup", "private"),
		HostLimits: limits(r.Spec.Limits),
	}
	if r.Spec.ShmSize != nil {
		out.ShmSize = *r.Spec.ShmSize
	}
	if r.Spec.OOMScoreAdj != nil {
		out.OomScoreAdj = *r.Spec.OOMScoreAdj
	}
	for _, d := range r.Spec.Devices {
		out.Devices = append(out.Devices, DeviceOf{d.Host, cmp.Or(d.Container, d.Host), cmp.Or(d.Permissions, "rwm")})
	}
	return out
}

// defaultShmSize is that of /dev/shm in bytes where nothing was said. Source: podman-run(1),
// --shm-size.
const defaultShmSize = 65536000

// limits are the resources that were asked for.
func limits(l spec.Limits) HostLimits {
	out := HostLimits{
		Memory: orZero(l.Memory), MemorySwap: orZero(l.MemorySwap), MemoryReservation: orZero(l.MemoryReservation),
		PidsLimit: orZero(l.PidsLimit), CpuShares: orZero(l.CPUShares), CpuQuota: orZero(l.CPUQuota), CpuPeriod: orZero(l.CPUPeriod),
		CpuRealtimePeriod: orZero(l.CPURTPeriod), CpuRealtimeRuntime: orZero(l.CPURTRuntime), CpusetCpus: l.CpusetCPUs, CpusetMems: l.CpusetMems,
		BlkioWeight: orZero(l.BlkioWeight), OomKillDisable: l.OOMKillDisable, CgroupConf: l.CgroupConf, Devices: []DeviceOf{}, Ulimits: []Limit{},
		BlkioDeviceReadBps: rates(l.DeviceReadBPS), BlkioDeviceWriteBps: rates(l.DeviceWriteBPS),
		BlkioDeviceReadIOps: rates(l.DeviceReadIOPS), BlkioDeviceWriteIOps: rates(l.DeviceWriteIOPS),
	}
	for _, w := range l.BlkioWeightDevice {
		out.BlkioWeightDevice = append(out.BlkioWeightDevice, WeightOf(w))
	}
	for _, u := range l.Ulimits {
		out.Ulimits = append(out.Ulimits, Limit(u))
	}
	if l.MemorySwappiness != nil {
		out.MemorySwappiness = int64(*l.MemorySwappiness)
	}
	if l.CPUs != nil {
		const period = 100_000 // of a CPU quota, in microseconds
		out.NanoCpus = int64(*l.CPUs * 1e9)
		out.CpuPeriod, out.CpuQuota = period, int64(*l.CPUs*period)
	}
	return out
}

func rates(asked []spec.DeviceRate) []RateOf {
	var all []RateOf
	for _, r := range asked {
		all = append(all, RateOf(r))
	}
	return all
}

// list is a slice that JSON writes as [] where it is empty, as podman's are.
func list[T any](all []T) []T { return slices.Concat([]T{}, all) }

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func orZero[T any](p *T) (zero T) {
	if p == nil {
		return zero
	}
	return *p
}
