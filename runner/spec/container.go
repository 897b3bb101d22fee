// SPDX-License-Identifier: Apache-2.0

// Package spec models what a container or a pod asks for.
//
// Whoever makes a container starts from Defaults, sets fields, and asks Check for
// contradictions; a command line does so through ContainerFlags and PodFlags, which know the
// flags of run and of pod create by the names podman users know. The grammar of each value is
// a function here (ParsePort, ParseMount and so on), and Judge applies the one of a flag.
//
// The package judges words and nothing else: what images, volumes, networks and the kernel
// make of them is left to the packages that act. Every type here survives a round trip through
// JSON, so a record of a container can hold what was asked for. It holds names of secrets and
// never their values.
package spec

import (
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Container is what somebody asks for: the command line of run, or a file that describes a
// container. Defaults gives one for which nothing was said.
type Container struct {
	// Name is empty if none was given; the caller then makes one up.
	Name string
	// Image is a reference as written; it is empty with a Rootfs.
	Image string
	// Rootfs is set with --rootfs, where a directory stands at the image's place.
	Rootfs *Rootfs
	// Command holds the words after the image; none means the image's own.
	Command []string
	// Entrypoint is nil if the image's own is wanted, and empty but not nil if
	// the image's entrypoint is to be cleared (--entrypoint "").
	Entrypoint []string

	Replace     bool // remove a container of this name first
	Remove      bool // remove the container and its anonymous volumes at the end
	RemoveImage bool `json:",omitempty"` // and then the image, unless others use it
	Detach      bool
	Interactive bool
	TTY         bool
	// Attach names the streams that a container in the foreground has of ours; none means all that
	// there are.
	Attach []string `json:",omitempty"`
	// MaxRun is how long the container may run before it is killed; zero is no limit.
	MaxRun time.Duration `json:",omitempty"`
	// SigProxy says that signals the attached runner gets are the container's.
	SigProxy bool
	// Cgroups is split, enabled, no-conmon or disabled; empty means the default.
	Cgroups string
	// SdNotify is conmon, container, healthy or ignore. Default: container.
	SdNotify string
	// PreserveFDs is how many of our open files the container gets, from descriptor 3 on, or behind
	// the sockets of the unit.
	PreserveFDs int `json:",omitempty"`
	// PreserveFD are further ones, each of which keeps its number.
	PreserveFD []int `json:",omitempty"`
	// Systemd is true, false or always: whether to prepare the container for
	// systemd as its first process. true means when the command is systemd or an
	// init by its name.
	Systemd string
	// CIDFile receives the container's ID; it must not exist.
	CIDFile string
	// PIDFile receives the process ID of the container's first process.
	PIDFile string
	// MainPIDFile is --conmon-pidfile: it receives the process ID that systemd
	// watches. Without a monitor that is the container's first process too.
	MainPIDFile string
	Restart     Restart

	Pull Pull

	// Env is the environment asked for, --env-host, --http-proxy, --env-file
	// and --env applied in that order; the image's variables come below it.
	Env map[string]string
	// UnsetEnv names variables of the image or the defaults to leave out.
	UnsetEnv []string
	// UnsetEnvAll leaves out every variable of the image and the defaults.
	UnsetEnvAll bool
	// User is USER[:GROUP], names or numbers; empty means the image's.
	User string
	// Groups are supplementary groups, names or numbers.
	Groups []string
	// MakeWorkDir has the runtime make a working directory that is missing, as Kubernetes does
	// (kube play).
	MakeWorkDir bool `json:",omitempty"`
	// OnlyGroups leaves out the groups that the image's /etc/group gives the user (kube play).
	OnlyGroups bool `json:",omitempty"`
	// KeepGroups keeps the runner's own supplementary groups (--group-add keep-groups).
	KeepGroups bool
	// WorkDir is an absolute path; empty means the image's.
	WorkDir string
	// Umask is nil for the configured one.
	Umask *uint32
	// Timezone is a name of the time zone database or "local"; empty means the
	// container's own.
	Timezone string
	// StopSignal is zero for the image's, else SIGTERM.
	StopSignal int
	// StopTimeout is nil for the configured one (10 s).
	StopTimeout *time.Duration
	// Passwd says whether /etc/passwd and /etc/group get an entry for a user
	// that the image does not know.
	Passwd bool

	Labels      map[string]string
	Annotations map[string]string

	Security
	Limits
	Networking
	IDMapping

	// ReadOnly makes the root filesystem read-only.
	ReadOnly bool
	// ReadOnlyTmpfs puts writable tmpfs on the usual places of a read-only root.
	ReadOnlyTmpfs bool
	// Init runs a small init as the first process.
	Init bool
	// InitPath is the init on the host; empty means the configured one.
	InitPath string
	// Mounts are those of --volume, --mount and --tmpfs, in this order.
	Mounts []Mount
	// VolumesFrom are containers whose mounts this one gets, too.
	VolumesFrom []VolumesFrom `json:",omitempty"`
	// ImageVolumes says what becomes of the image's VOLUMEs: anonymous, tmpfs or
	// ignore; empty means anonymous.
	ImageVolumes string
	Devices      []Device
	// DeviceRules allow devices that have no node when the container starts.
	DeviceRules []DeviceRule `json:",omitempty"`

	Log Log

	// Secrets are the names of secrets that the container gets, and how.
	Secrets []Secret `json:",omitempty"`

	// Health is nil if nothing was said, so that the image's check is used as it is.
	Health *HealthCheck `json:",omitempty"`
	// StartupHealth takes the place of the health check until it has passed; nil means none.
	StartupHealth *HealthCheck `json:",omitempty"`
	// OnUnhealthy is what a container that becomes unhealthy gets: kill, restart or stop; empty
	// means nothing.
	OnUnhealthy string `json:",omitempty"`
	// HealthLog is how the results of checks are kept.
	HealthLog HealthLog

	// Pod is the name of the pod to join, or empty.
	Pod string
	// NewPod is the pod to be made for the container, --pod new:NAME; nil for one that exists. It has
	// what the command line says of the network. Nobody notes it: once made, it is like any other.
	NewPod *Pod `json:"-"`
	// PIDNS, IPCNS, UTSNS and CgroupNS are the namespaces to use; an empty mode
	// means the default: the pod's where it shares them, else private.
	PIDNS, IPCNS, UTSNS, CgroupNS Namespace

	// Warnings are things of the command line that have no effect, in words.
	Warnings []string `json:",omitempty"`
}

// Pod is what somebody asks for: the command line of pod create, or a file that describes a
// pod. PodDefaults gives one for which nothing was said.
type Pod struct {
	Name    string
	Replace bool
	// Infra is false for a pod without an infra container, which then shares
	// no namespaces.
	Infra bool
	// InfraName is empty if none was given.
	InfraName string
	// MainPIDFile is --infra-conmon-pidfile: it receives the process ID of the
	// infra process when the pod starts.
	MainPIDFile string
	// ExitPolicy is stop or continue: whether the pod ends with its last container.
	ExitPolicy string
	// Share lists the namespaces that containers of the pod share: ipc, net, pid,
	// uts.
	Share []string
	// PodIDFile receives the pod's ID.
	PodIDFile string
	Restart   Restart
	Labels    map[string]string

	Networking
	IDMapping

	// ShmSize is the size of the /dev/shm that its containers share, in bytes;
	// zero means no limit, nil the configured size.
	ShmSize *int64

	// Limits are for all containers of the pod together. Of its fields those have a meaning that
	// are flags of pod create.
	Limits Limits `json:",omitzero"`

	// What follows goes into every container of the pod; see Container.Inherit.

	Security
	Mounts []Mount
	// VolumesFrom are containers whose mounts become the pod's, too.
	VolumesFrom  []VolumesFrom `json:",omitempty"`
	Devices      []Device
	PIDNS, UTSNS Namespace

	Warnings []string `json:",omitempty"`
}

// Inherit gives a container what its pod says for all its containers: security
// options, kernel parameters, devices, and namespaces that are not the
// container's own. What the container says itself is stronger. Mounts are left
// to the caller, which resolves their sources.
func (c *Container) Inherit(p *Pod) {
	c.CapAdd, c.CapDrop = slices.Concat(p.CapAdd, c.CapAdd), slices.Concat(p.CapDrop, c.CapDrop)
	c.SELinux = slices.Concat(p.SELinux, c.SELinux)
	c.Mask, c.Unmask = slices.Concat(p.Mask, c.Mask), slices.Concat(p.Unmask, c.Unmask)
	c.ProcOpts = slices.Concat(p.ProcOpts, c.ProcOpts)
	c.Devices = slices.Concat(p.Devices, c.Devices)
	c.Privileged = c.Privileged || p.Privileged
	c.NoNewPrivileges = c.NoNewPrivileges || p.NoNewPrivileges
	if c.AppArmor == "" {
		c.AppArmor = p.AppArmor
	}
	if c.Seccomp == "" {
		c.Seccomp = p.Seccomp
	}
	if c.PIDNS.Mode == "" {
		c.PIDNS = p.PIDNS
	}
	if c.UTSNS.Mode == "" {
		c.UTSNS = p.UTSNS
	}
	sysctls := maps.Clone(p.Sysctls)
	if sysctls == nil {
		sysctls = c.Sysctls
	} else {
		maps.Copy(sysctls, c.Sysctls)
	}
	c.Sysctls = sysctls
}

// Rootfs is a directory at the image's place: PATH[:O] or PATH[:idmap].
type Rootfs struct {
	Path string
	// Overlay keeps the directory as it is: changes are discarded at the end.
	Overlay bool
	// IDMap and its mappings are as of a Mount.
	IDMap          bool       `json:",omitempty"`
	UIDMap, GIDMap []MountIDs `json:",omitempty"`
}

// Mount is the directory as what is mounted at the root.
func (r *Rootfs) Mount() Mount {
	return Mount{Type: MountBind, Source: r.Path, Destination: "/", IDMap: r.IDMap, UIDMap: r.UIDMap, GIDMap: r.GIDMap}
}

// CDI are the names of the devices of the container device interface.
func (c *Container) CDI() []string {
	var names []string
	for _, d := range c.Devices {
		if d.CDI {
			names = append(names, d.Host)
		}
	}
	return names
}

// DefaultRetry is how often a pull is tried again. Source: podman-run(1), --retry.
const DefaultRetry = 3

// Pull says whether and how to fetch the image.
type Pull struct {
	// Policy is always, missing, never or newer.
	Policy string
	// Retry is the number of further tries after a failure; DefaultRetry if not given.
	Retry uint
	// RetryDelay is nil for an exponential delay that starts at 2 s.
	RetryDelay *time.Duration
	// OS, Arch and Variant are empty for the machine's own.
	OS, Arch, Variant string
	// TLSVerify is nil for what registries.conf says.
	TLSVerify *bool
	// AuthFile is empty for the default search.
	AuthFile string
	// Creds is USER[:PASSWORD], or empty. It is never written to a record.
	Creds string `json:"-"`
	// CertDir is empty for the default search.
	CertDir string
	Quiet   bool
}

// Restart is what happens after the first process has ended.
type Restart struct {
	// Policy is empty if not given, or no, always, on-failure or unless-stopped.
	Policy string
	// Max is the number of tries of on-failure:N; zero means no limit.
	Max uint
}

// Security is what confines a container beyond its namespaces.
type Security struct {
	Privileged bool
	// CapAdd and CapDrop are capability names as written; "all" means all.
	CapAdd, CapDrop []string
	// AppArmor is a profile, "unconfined", or empty for the default.
	AppArmor string
	// Seccomp is the path of a profile, "unconfined", or empty for the default.
	Seccomp         string
	NoNewPrivileges bool
	// SELinux holds the words after label=: disable, nested, user:U, role:R,
	// type:T, level:L, filetype:T.
	SELinux []string
	// Mask lists paths to hide in addition to the usual ones.
	Mask []string
	// Unmask lists paths (or patterns) to show again; ALL means all.
	Unmask []string
	// ProcOpts are mount options of /proc.
	ProcOpts []string
	Sysctls  map[string]string
}

// Limits are the resources of a container. A nil pointer means not asked for.
type Limits struct {
	Memory            *int64 // bytes
	MemorySwap        *int64 // bytes of memory and swap together; -1 means no limit
	MemoryReservation *int64 // bytes
	MemorySwappiness  *uint64
	OOMKillDisable    bool
	OOMScoreAdj       *int
	CPUs              *float64 // cores; turns into CPUQuota and CPUPeriod
	CPUShares         *uint64
	CPUQuota          *int64  // microseconds in each period
	CPUPeriod         *uint64 // microseconds
	CPURTRuntime      *int64  // microseconds
	CPURTPeriod       *uint64 // microseconds
	CpusetCPUs        string
	CpusetMems        string
	BlkioWeight       *uint16
	BlkioWeightDevice []DeviceWeight
	DeviceReadBPS     []DeviceRate // bytes a second
	DeviceWriteBPS    []DeviceRate // bytes a second
	DeviceReadIOPS    []DeviceRate
	DeviceWriteIOPS   []DeviceRate
	PidsLimit         *int64 // -1 means no limit
	// CgroupConf is written to cgroup v2 files as it stands, by file name.
	CgroupConf map[string]string
	// ShmSize is the size of /dev/shm in bytes; zero means no limit, nil means
	// the configured size (64 MiB).
	ShmSize *int64
	Ulimits []Ulimit
	// HostUlimits takes the runner's own limits over (--ulimit host).
	HostUlimits bool
}

// Any tells whether anything was asked for.
func (l *Limits) Any() bool { return !reflect.ValueOf(l).Elem().IsZero() }

// Networking is how a container or pod meets the network.
type Networking struct {
	// Networks is empty if none was asked for.
	Networks []Network
	Publish  []PortMapping
	// PublishAll publishes every exposed port, the image's as well.
	PublishAll bool
	Expose     []PortRange
	// Hostname is empty for the default, the first 12 digits of the ID.
	Hostname string
	AddHosts []HostEntry
	// NoHosts leaves the container's /etc/hosts alone.
	NoHosts bool
	// NoHostname leaves the container's /etc/hostname alone.
	NoHostname bool
	// HostsFile is where /etc/hosts starts from: a path, "image", "none", or
	// empty for the configured one.
	HostsFile string
	// DNS holds addresses, or the single word "none": leave /etc/resolv.conf alone.
	DNS []string
	// DNSSearch holds domains; the single "." means no search domains.
	DNSSearch  []string
	DNSOptions []string
	// IP, IP6 and MAC are for the one named network that there is, Aliases for all.
	IP, IP6 netip.Addr
	MAC     net.HardwareAddr `json:",omitempty"`
	Aliases []string         `json:",omitempty"`
	// FullName is the host name with its domain, which /etc/hosts has before the short one, and
	// under which others on named networks find it. Only Kubernetes YAML has it: subdomain.
	FullName string `json:",omitempty"`
	// OwnDNS leaves the name servers and search domains of named networks out: it is DNS and
	// DNSSearch that count, and else the machine's. Only Kubernetes YAML has it: dnsPolicy.
	OwnDNS bool `json:",omitempty"`
}

// HostNetwork reports whether the network is the machine's.
func (n *Networking) HostNetwork() bool {
	return slices.ContainsFunc(n.Networks, func(one Network) bool { return one.Mode == NetHost })
}

// Named tells whether the container or pod is on named networks.
func (n *Networking) Named() bool { return len(n.Networks) > 0 && n.Networks[0].IsNamed() }

// Publishes reports whether published ports have an effect.
func (n *Networking) Publishes() bool { return len(n.Networks) == 0 || n.Networks[0].HasPorts() }

// Ports are the published ports that have an effect.
func (n *Networking) Ports() []PortMapping {
	if !n.Publishes() {
		return nil
	}
	return n.Publish
}

// Options are the words that --security-opt would need to say the same, as inspect shows them.
func (s *Security) Options() []string {
	var out []string
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				out = append(out, name+"="+v)
			}
		}
	}
	if s.NoNewPrivileges {
		out = append(out, "no-new-privileges")
	}
	add("label", s.SELinux...)
	add("seccomp", s.Seccomp)
	add("apparmor", s.AppArmor)
	add("mask", strings.Join(s.Mask, ":"))
	add("unmask", strings.Join(s.Unmask, ":"))
	add("proc-opts", strings.Join(s.ProcOpts, ","))
	return out
}

// Log is where output goes.
type Log struct {
	// Driver is journald, passthrough, passthrough-tty, none, k8s-file, or empty for the default.
	// k8s-file writes a file beside the journal.
	Driver string
	// Path is that of the log file; empty is one beside the container's layer.
	Path string `json:",omitempty"`
	// MaxSize is the most bytes of a log file, zero no limit; MaxFiles how many are kept, zero one.
	MaxSize  int64 `json:",omitempty"`
	MaxFiles int   `json:",omitempty"`
	// Tag is what the journal shows as the tag (--log-opt tag=), or empty.
	Tag string
	// Labels are extra journal fields (--log-opt label=NAME=VALUE).
	Labels map[string]string `json:",omitempty"`
}
