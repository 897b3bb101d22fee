// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// Container is what inspect shows of a container; the names of fields are podman's and
// docker's, so that scripts go on working.
type Container struct {
	ID              string `json:"Id"`
	Created         time.Time
	Path            string
	Args            []string
	State           State
	Image           string
	ImageDigest     string
	ImageName       string
	Rootfs          string
	Pod             string
	Name            string
	Driver          string
	OCIRuntime      string
	OCIConfigPath   string
	StaticDir       string
	HostnamePath    string
	HostsPath       string
	ResolvConfPath  string
	EffectiveCaps   []string
	BoundingCaps    []string
	Mounts          []Mount
	NetworkSettings Network
	Config          Settings
	HostConfig      HostSettings
	Unit            string // systemd unit that watches it
	RestartCount    int    // how often the manager restarted it since somebody started it
}

// State is how a container is, in inspect.
type State struct {
	OciVersion string
	Status     string
	Running    bool
	Paused     bool
	OOMKilled  bool
	Pid        int
	ConmonPid  int // always 0: nothing of the kind watches it
	ExitCode   int
	StartedAt  time.Time
	FinishedAt time.Time
	CgroupPath string
	Health     *Health `json:",omitempty"`
	// StoppedByUser tells that it was asked to stop.
	StoppedByUser bool
}

// Health is how a container is, in inspect.
type Health struct {
	Status        health.Status
	FailingStreak int
	Log           []health.Entry
}

// HealthCheck is a check of a container, in inspect; times are in nanoseconds.
type HealthCheck struct {
	Test        []string
	Interval    time.Duration
	Timeout     time.Duration
	Retries     int
	StartPeriod time.Duration `json:",omitempty"`
	Successes   int           `json:",omitempty"`
}

// Mount is a mount of a container, in inspect.
type Mount struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Options     []string
	RW          bool
}

// Network is the network of a container, in inspect.
type Network struct {
	IPAddress   string
	IPAddresses []string
	Ports       map[string][]Binding
	SandboxKey  string
	NetworkMode string
	Networks    map[string]Endpoint
}

// Endpoint is the end of a network in a container, in inspect. Of one that has no name there is its mode
// and the address.
type Endpoint struct {
	NetworkID           string
	IPAddress           string
	IPPrefixLen         int      `json:",omitempty"`
	Gateway             string   `json:",omitempty"`
	GlobalIPv6Address   string   `json:",omitempty"`
	GlobalIPv6PrefixLen int      `json:",omitempty"`
	IPv6Gateway         string   `json:",omitempty"`
	MacAddress          string   `json:",omitempty"`
	Aliases             []string `json:",omitempty"`
	InterfaceName       string   `json:",omitempty"`
}

// Settings is what a container runs, in inspect.
type Settings struct {
	Hostname      string
	User          string
	Env           []string
	Cmd           []string
	Entrypoint    []string
	Image         string
	Labels        map[string]string
	Annotations   map[string]string
	WorkingDir    string
	StopSignal    string
	StopTimeout   float64 // seconds
	Tty           bool
	OpenStdin     bool
	ExposedPorts  map[string]struct{} `json:",omitempty"`
	Umask         string              `json:",omitempty"`
	Timezone      string              `json:",omitempty"`
	CreateCommand []string
	SdNotifyMode  string `json:"sdNotifyMode"`

	Healthcheck                *HealthCheck `json:",omitempty"`
	StartupHealthCheck         *HealthCheck `json:",omitempty"`
	HealthcheckOnFailureAction string       `json:",omitempty"`
	HealthLogDestination       string       `json:",omitempty"`
	HealthcheckMaxLogCount     int
	HealthcheckMaxLogSize      int
}

// HostSettings is how a container is confined and connected, in inspect.
type HostSettings struct {
	Binds          []string
	NetworkMode    string
	PortBindings   map[string][]Binding
	RestartPolicy  map[string]any
	AutoRemove     bool
	Privileged     bool
	ReadonlyRootfs bool
	Init           bool
	CapAdd         []string
	CapDrop        []string
	SecurityOpt    []string
	UsernsMode     string
	Memory         int64
	PidsLimit      int64
	ShmSize        int64
	LogConfig      map[string]string
	Cgroups        string
	Tmpfs          map[string]string

	ContainerIDFile string
	Dns             []string //nolint:revive,staticcheck // docker's and podman's spelling
	DnsOptions      []string //nolint:revive,staticcheck // the same
	DnsSearch       []string //nolint:revive,staticcheck // the same
	ExtraHosts      []string
	GroupAdd        []string
	IpcMode         string //nolint:revive,staticcheck // the same
	PidMode         string
	UTSMode         string
	CgroupMode      string
	PublishAllPorts bool
	Runtime         string
}

// InspectContainer tells all there is to know about a container.
func InspectContainer(ctx context.Context, x *service.Engine, r container.Record) (Container, error) {
	s, err := x.Containers.Status(r.ID)
	if err != nil {
		return Container{}, err
	}
	row, err := containerRow(x, r, podOf(x, r), false)
	if err != nil {
		return Container{}, err
	}
	static, err := x.Containers.Store.ContainerDirectory(r.ID)
	if err != nil {
		return Container{}, err
	}
	command := r.Command()
	in := Container{
		ID: r.ID, Created: r.Created, Image: r.ImageID, ImageDigest: r.Digest, ImageName: r.ImageName, Pod: r.PodID,
		Name: r.Name, Driver: x.Containers.Store.GraphDriverName(), OCIRuntime: cmp.Or(r.Runtime, x.Containers.Runtime.Command, "runc"), StaticDir: static,
		Unit: row.Unit, RestartCount: x.Restarts(ctx, row.Unit),
		State: State{
			OciVersion: rspec.Version, Status: row.State, Running: s.PID != 0, Paused: row.State == string(container.Paused),
			Pid: s.PID, ExitCode: row.ExitCode, StartedAt: s.StartedAt, CgroupPath: s.Cgroup,
		},
		NetworkSettings: Network{
			IPAddresses: s.IPs, Ports: bindings(s.Ports), NetworkMode: s.NetworkMode, Networks: map[string]Endpoint{},
		},
		Config: Settings{
			Hostname: r.Hostname(), User: cmp.Or(r.Spec.User, r.Config.User), Cmd: r.Spec.Command, Entrypoint: r.Spec.Entrypoint,
			Image: r.ImageName, Labels: r.Labels(), Annotations: r.Spec.Annotations,
			WorkingDir: cmp.Or(r.Spec.WorkDir, r.Config.WorkingDir, "/"), StopSignal: unix.SignalName(r.StopSignal()),
			StopTimeout: x.StopTimeoutOf(r).Seconds(), Tty: r.Spec.TTY, OpenStdin: r.Spec.Interactive,
			ExposedPorts: r.Config.ExposedPorts, Timezone: r.Spec.Timezone, CreateCommand: r.Args, SdNotifyMode: r.Spec.SdNotify,
		},
		HostConfig: hostSettings(r),
	}
	in.HostConfig.Runtime = in.OCIRuntime
	if in.State.StoppedByUser = x.Containers.Stopping(r.ID, s); !in.State.StoppedByUser {
		if in.State.StoppedByUser, err = x.Containers.Stopped(r.ID); err != nil {
			return Container{}, err
		}
	}
	if len(command) > 0 {
		in.Path, in.Args = command[0], command[1:]
	}
	if len(in.Config.Cmd) == 0 {
		in.Config.Cmd = r.Config.Cmd
	}
	if in.Config.Entrypoint == nil {
		in.Config.Entrypoint = r.Config.Entrypoint
	}
	if r.Spec.Umask != nil {
		in.Config.Umask = fmt.Sprintf("%04o", *r.Spec.Umask)
	}
	if r.Spec.Rootfs != nil {
		in.Rootfs = r.Spec.Rootfs.Path
	}
	if len(s.IPs) > 0 {
		in.NetworkSettings.IPAddress = s.IPs[0]
	}
	if err := in.health(x, r); err != nil {
		return Container{}, err
	}
	if s.NetworkMode != "" {
		in.NetworkSettings.Networks[s.NetworkMode] = Endpoint{NetworkID: s.NetworkMode, IPAddress: in.NetworkSettings.IPAddress}
	}
	if exit, err := x.Containers.Exit(r.ID); err == nil && exit != nil {
		in.State.FinishedAt, in.State.OOMKilled = exit.FinishedAt, exit.OOMKilled
		if in.State.StartedAt.IsZero() {
			in.State.StartedAt = exit.StartedAt
		}
	}
	in.addMounts(x, r)
	in.addLastStart(x)
	if s.PID != 0 {
		in.NetworkSettings.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", s.PID)
		named, err := networkEnds(x.Containers.Dir(r.ID))
		if err != nil {
			return Container{}, err
		}
		if named != nil {
			in.NetworkSettings.Networks = named
		}
	}
	return in, nil
}

// hostSettings is how a container was to be confined and connected.
func hostSettings(r container.Record) HostSettings {
	return HostSettings{
		NetworkMode: networkMode(r), PortBindings: bindings(r.Spec.Ports()), AutoRemove: r.Spec.Remove,
		RestartPolicy: map[string]any{"Name": cmp.Or(r.Spec.Restart.Policy, "no"), "MaximumRetryCount": r.Spec.Restart.Max},
		Privileged:    r.Spec.Privileged, ReadonlyRootfs: r.Spec.ReadOnly, Init: r.Spec.Init, CapAdd: r.Spec.CapAdd,
		CapDrop: r.Spec.CapDrop, SecurityOpt: r.Spec.Security.Options(), UsernsMode: r.Spec.UserNS.Mode,
		Memory: deref(r.Spec.Memory), PidsLimit: deref(r.Spec.PidsLimit), ShmSize: deref(r.Spec.ShmSize),
		LogConfig: map[string]string{"Type": cmp.Or(r.Spec.Log.Driver, "journald"), "Path": r.Spec.Log.Path}, Cgroups: cmp.Or(r.Spec.Cgroups, "split"),
		Tmpfs: map[string]string{}, ContainerIDFile: r.Spec.CIDFile, Dns: r.Spec.DNS, DnsOptions: r.Spec.DNSOptions, DnsSearch: r.Spec.DNSSearch,
		ExtraHosts: extraHosts(r.Spec.AddHosts), GroupAdd: r.Spec.Groups, PublishAllPorts: r.Spec.PublishAll,
		IpcMode: namespaceMode(r, r.Spec.IPCNS, "ipc", "shareable"), PidMode: namespaceMode(r, r.Spec.PIDNS, "pid", "private"),
		UTSMode: namespaceMode(r, r.Spec.UTSNS, "uts", "private"), CgroupMode: namespaceMode(r, r.Spec.CgroupNS, "cgroup", "private"),
	}
}

// extraHosts are the values of --add-host, one for each name.
func extraHosts(entries []spec.HostEntry) []string {
	var all []string
	for _, e := range entries {
		ip := e.IP.String()
		if e.Gateway {
			ip = spec.HostGateway
		}
		for _, name := range e.Names {
			all = append(all, name+":"+ip)
		}
	}
	return all
}

// addMounts tells what the container mounts.
func (in *Container) addMounts(x *service.Engine, r container.Record) {
	for _, m := range r.Spec.Mounts {
		one := Mount{Type: m.Type, Source: m.Source, Destination: m.Destination, Options: m.Options, RW: !m.ReadOnly()}
		switch m.Type {
		case spec.MountVolume:
			one.Name = m.Source
			one.Source = filepath.Join(x.Containers.Store.GraphRoot(), "volumes", m.Source, "_data")
		case spec.MountTmpfs:
			in.HostConfig.Tmpfs[m.Destination] = strings.Join(m.MemoryOptions(), ",")
			continue
		}
		in.HostConfig.Binds = append(in.HostConfig.Binds, strings.Trim(m.Source+":"+m.Destination+":"+strings.Join(m.Options, ","), ":"))
		in.Mounts = append(in.Mounts, one)
	}
}

// addLastStart tells what the OCI configuration of the last start has.
func (in *Container) addLastStart(x *service.Engine) {
	oci, err := x.Containers.OCI(in.ID)
	if err != nil {
		return // it has never been started
	}
	in.OCIConfigPath = filepath.Join(x.Containers.Dir(in.ID), "config.json")
	in.Config.Env = oci.Process.Env
	if oci.Process.Capabilities != nil {
		in.EffectiveCaps, in.BoundingCaps = oci.Process.Capabilities.Effective, oci.Process.Capabilities.Bounding
	}
	for _, m := range oci.Mounts {
		switch m.Destination {
		case "/etc/hosts":
			in.HostsPath = m.Source
		case "/etc/hostname":
			in.HostnamePath = m.Source
		case "/etc/resolv.conf":
			in.ResolvConfPath = m.Source
		}
	}
}

// namespaceMode is how inspect words a namespace: as it was asked for, else that of the pod, else
// the usual one.
func namespaceMode(r container.Record, ns spec.Namespace, kind, usual string) string {
	switch {
	case ns.Container != "":
		return ns.Mode + ":" + ns.Container
	case ns.Path != "":
		return ns.Mode + ":" + ns.Path
	case ns.Mode == "" && r.PodID != "" && kind != "cgroup":
		return "pod:" + r.PodID
	}
	return cmp.Or(ns.Mode, usual)
}

func deref(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

func networkMode(r container.Record) string {
	if r.Spec.Named() {
		return spec.NetBridge
	}
	if len(r.Spec.Networks) > 0 {
		return cmp.Or(r.Spec.Networks[0].Mode, "pasta")
	}
	if r.PodID != "" {
		return "pod:" + r.PodID
	}
	return "pasta"
}

// health fills in how a container is checked, and how it is.
func (in *Container) health(x *service.Engine, r container.Record) error {
	h, err := x.Health(r)
	if h == nil || err != nil {
		return err
	}
	in.State.Health = &Health{h.Status, h.FailingStreak, append([]health.Entry{}, h.Log...)}
	c := &in.Config
	c.Healthcheck = checkOf(r.Health.Regular)
	if r.Health.Startup != nil {
		c.StartupHealthCheck = checkOf(*r.Health.Startup)
	}
	c.HealthcheckOnFailureAction, c.HealthLogDestination = cmp.Or(r.Health.OnFailure, "none"), r.Health.LogDestination
	c.HealthcheckMaxLogCount, c.HealthcheckMaxLogSize = r.Health.MaxLogCount, r.Health.MaxLogSize
	return nil
}

func checkOf(c health.Check) *HealthCheck { return (*HealthCheck)(&c) }
