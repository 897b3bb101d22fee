// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
)

// Container is what inspect shows of a container; the names of fields are podman's and
// docker's, so that scripts go on working. What only podman's own machinery has (conmon, locks,
// checkpoints) is there with the value that stands for nothing.
type Container struct {
	ID                      string `json:"Id"`
	Created                 time.Time
	Path                    string
	Args                    []string
	State                   State
	Image                   string
	ImageDigest             string
	ImageName               string
	Rootfs                  string
	Pod                     string
	ResolvConfPath          string
	HostnamePath            string
	HostsPath               string
	StaticDir               string
	OCIConfigPath           string
	OCIRuntime              string
	ConmonPidFile           string
	PidFile                 string
	Name                    string
	RestartCount            int // how often the manager restarted it since somebody started it
	Driver                  string
	MountLabel              string
	ProcessLabel            string
	AppArmorProfile         string
	EffectiveCaps           []string
	BoundingCaps            []string
	ExecIDs                 []string
	GraphDriver             GraphDriver
	SizeRw                  *int64 `json:",omitempty"` // bytes of its own layer, with --size
	SizeRootFs              int64  `json:",omitempty"` // bytes of all its layers, with --size
	Mounts                  []Mount
	Dependencies            []string
	NetworkSettings         Network
	Namespace               string
	IsInfra                 bool
	IsService               bool
	KubeExitCodePropagation string
	LockNumber              int `json:"lockNumber"`
	Config                  Settings
	HostConfig              HostSettings
	UseImageHosts           bool
	UseImageHostname        bool
	Unit                    string // systemd unit that watches it
}

// GraphDriver is where the layers of a container lie.
type GraphDriver struct {
	Name string
	Data map[string]string
}

// State is the state of a container, in inspect.
type State struct {
	OciVersion string
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ConmonPid  int // always 0: nothing of the kind watches it
	ExitCode   int
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
	CgroupPath string
	Health     *Health `json:",omitempty"`
	// Nobody checkpoints containers.
	CheckpointedAt, RestoredAt time.Time
	// StoppedByUser tells that a user stopped the container.
	StoppedByUser bool
}

// Healthcheck is another name of Health, for templates. Source: podman-inspect(1).
func (s State) Healthcheck() *Health { return s.Health }

// Health is the health of a container, in inspect.
type Health struct {
	Status        health.Status
	FailingStreak int
	Log           []health.Entry
}

// HealthCheck is a check of a container, in inspect; times are in nanoseconds.
type HealthCheck struct {
	Test        []string
	StartPeriod time.Duration `json:",omitempty"`
	Interval    time.Duration `json:",omitempty"`
	Timeout     time.Duration `json:",omitempty"`
	Retries     int           `json:",omitempty"`
	Successes   int           `json:",omitempty"`
}

// SecretFile is a secret that a container has as a file, in inspect.
type SecretFile struct {
	Name     string
	ID       string // empty if the store has none of the name any more
	UID, GID uint32
	Mode     uint32
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
	// Link is that of the network podman, if that is the only one.
	Link
	Bridge                 string
	SandboxID              string
	HairpinMode            bool
	LinkLocalIPv6Address   string
	LinkLocalIPv6PrefixLen int
	IPAddresses            []string
	Ports                  map[string][]Binding
	SandboxKey             string
	NetworkMode            string
	Networks               map[string]Endpoint
}

// Link is how a container is reached on a network.
type Link struct {
	EndpointID          string
	Gateway             string
	IPAddress           string
	IPPrefixLen         int
	IPv6Gateway         string
	GlobalIPv6Address   string
	GlobalIPv6PrefixLen int
	MacAddress          string
}

// Endpoint is the end of a network in a container, in inspect. A network without a name has its
// mode as name, and the address only.
type Endpoint struct {
	NetworkID string
	Link
	DriverOpts    map[string]string
	IPAMConfig    map[string]string
	Links         []string
	Aliases       []string `json:",omitempty"`
	InterfaceName string   `json:",omitempty"`
}

// Settings is what a container runs, in inspect.
type Settings struct {
	Hostname      string
	Domainname    string
	User          string
	AttachStdin   bool
	AttachStdout  bool
	AttachStderr  bool
	Tty           bool
	OpenStdin     bool
	StdinOnce     bool
	Env           []string
	Cmd           []string
	Image         string
	Volumes       map[string]struct{}
	WorkingDir    string
	Entrypoint    []string
	OnBuild       []string
	Labels        map[string]string
	Annotations   map[string]string
	StopSignal    string
	StopTimeout   float64 // seconds
	CreateCommand []string
	ExposedPorts  map[string]struct{} `json:",omitempty"`
	Umask         string
	Timezone      string `json:",omitempty"`
	Passwd        bool
	Timeout       uint         // seconds, 0 for no limit; RuntimeMaxSec= of a unit is not among it
	SdNotifyMode  string       `json:"sdNotifyMode"`
	Secrets       []SecretFile `json:",omitempty"` // those that are files

	Healthcheck                *HealthCheck `json:",omitempty"`
	StartupHealthCheck         *HealthCheck `json:",omitempty"`
	HealthcheckOnFailureAction string
	HealthLogDestination       string
	HealthcheckMaxLogCount     int
	HealthcheckMaxLogSize      int
}

// InspectContainer tells all there is to know about a container.
func InspectContainer(ctx context.Context, x *service.Engine, r container.Record) (Container, error) {
	s, err := x.Containers.StatusOf(r)
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
			Image: r.ImageName, Labels: r.Labels(), Annotations: orEmpty(r.Spec.Annotations),
			WorkingDir: cmp.Or(r.Spec.WorkDir, r.Config.WorkingDir, "/"), StopSignal: container.SignalName(r.StopSignal()),
			StopTimeout: x.StopTimeoutOf(r).Seconds(), Timeout: uint(r.Spec.MaxRun / time.Second), Tty: r.Spec.TTY, OpenStdin: r.Spec.Interactive,
			ExposedPorts: r.Config.ExposedPorts, Timezone: r.Spec.Timezone, CreateCommand: r.Args, SdNotifyMode: r.Spec.SdNotify,
		},
		HostConfig: hostSettings(r), ExecIDs: []string{}, Dependencies: dependencies(x, r), Mounts: []Mount{}, KubeExitCodePropagation: "invalid",
	}
	in.Config.AttachStdin, in.Config.Passwd, in.Config.Volumes = r.Spec.Interactive, r.Spec.Passwd, r.Config.Volumes
	in.Config.Umask, in.Config.HealthcheckOnFailureAction = "0022", "none"
	in.AppArmorProfile = r.Spec.AppArmor
	in.graphDriver(x)
	in.HostConfig.Runtime = in.OCIRuntime
	if in.State.StoppedByUser = x.Containers.Stopping(r.ID, s); !in.State.StoppedByUser {
		if in.State.StoppedByUser, err = x.Containers.Stopped(r.ID); err != nil {
			return Container{}, err
		}
	}
	in.addCommand(r)
	in.Config.Secrets = secretsOf(x, r)
	if r.Spec.Umask != nil {
		in.Config.Umask = fmt.Sprintf("%04o", *r.Spec.Umask)
	}
	if r.Spec.Rootfs != nil {
		in.Rootfs = r.Spec.Rootfs.Path
	}
	if err := in.health(x, r); err != nil {
		return Container{}, err
	}
	if exit, err := x.Containers.Exit(r.ID); err == nil && exit != nil {
		in.State.FinishedAt, in.State.OOMKilled = exit.FinishedAt, exit.OOMKilled
		if in.State.StartedAt.IsZero() {
			in.State.StartedAt = exit.StartedAt
		}
	}
	in.addMounts(x, r)
	in.addLastStart(x)
	return in, in.addNetworks(s, x.Containers.Dir(r.ID))
}

// addNetworks tells what a container is connected to. dir is its directory.
func (in *Container) addNetworks(s container.Status, dir string) error {
	if len(s.IPs) > 0 {
		in.NetworkSettings.IPAddress = s.IPs[0]
	}
	if s.NetworkMode != "" {
		in.NetworkSettings.Networks[s.NetworkMode] = Endpoint{NetworkID: s.NetworkMode, Link: Link{IPAddress: in.NetworkSettings.IPAddress}}
	}
	if s.PID == 0 {
		return nil
	}
	in.NetworkSettings.SandboxKey = fmt.Sprintf("/proc/%d/ns/net", s.PID)
	named, err := networkEnds(dir)
	if err == nil && named != nil {
		in.NetworkSettings.Networks = named
	}
	return err
}

// addCommand tells what is executed, with the image's words where none were given.
func (in *Container) addCommand(r container.Record) {
	if command := r.Command(); len(command) > 0 {
		in.Path, in.Args = command[0], command[1:]
	}
	if len(in.Config.Cmd) == 0 {
		in.Config.Cmd = r.Config.Cmd
	}
	if in.Config.Entrypoint == nil {
		in.Config.Entrypoint = r.Config.Entrypoint
	}
}

// dependencies are the IDs of the containers whose namespaces a container joins.
func dependencies(x *service.Engine, r container.Record) []string {
	ids := []string{}
	for _, name := range service.SharedWith(r.Spec) {
		if other, err := x.Containers.Lookup(name); err == nil && !slices.Contains(ids, other.ID) {
			ids = append(ids, other.ID)
		}
	}
	return ids
}

// graphDriver tells where the layers lie, if the storage knows.
func (in *Container) graphDriver(x *service.Engine) {
	in.GraphDriver = GraphDriver{Name: in.Driver, Data: map[string]string{}}
	d, err := x.Containers.Store.GraphDriver()
	if err != nil {
		return
	}
	if data, err := d.Metadata(in.ID); err == nil {
		in.GraphDriver.Data = data
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
			one.Source = filepath.Join(x.Containers.Store.GraphRoot(), "volumes", m.Source, "_data", m.Subpath)
		case spec.MountBind:
			one.Source = filepath.Join(m.Source, m.Subpath)
		case spec.MountTmpfs:
			in.HostConfig.Tmpfs[m.Destination] = strings.Join(m.MemoryOptions(), ",")
			continue
		}
		in.HostConfig.Binds = append(in.HostConfig.Binds, strings.Trim(m.Source+":"+m.Destination+":"+strings.Join(m.Options, ","), ":"))
		in.Mounts = append(in.Mounts, one)
	}
}

// addLastStart fills in what the OCI configuration of the last start has.
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

// health fills in the checks of a container and its health.
func (in *Container) health(x *service.Engine, r container.Record) error {
	h, err := x.Health(r)
	if h == nil && r.Spec.Health.None() {
		in.Config.Healthcheck = &HealthCheck{Test: r.Spec.Health.Test}
	}
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

// secretsOf lists the secrets that a container has as files, as the store knows them now.
func secretsOf(x *service.Engine, r container.Record) []SecretFile {
	var list []SecretFile
	for _, s := range r.Spec.Secrets {
		if s.Type != spec.SecretMount {
			continue
		}
		shown := SecretFile{Name: s.Name, UID: s.UID, GID: s.GID, Mode: s.Mode}
		if known, err := x.Containers.Secrets.Store.Lookup(s.Name); err == nil {
			shown.ID = known.ID
		}
		list = append(list, shown)
	}
	return list
}

func checkOf(c health.Check) *HealthCheck {
	return &HealthCheck{Test: c.Test, StartPeriod: c.StartPeriod, Interval: c.Interval, Timeout: c.Timeout, Retries: c.Retries, Successes: c.Successes}
}
