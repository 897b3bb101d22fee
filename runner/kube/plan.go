// SPDX-License-Identifier: Apache-2.0

// Package kube is the Plan: what Kubernetes YAML asks for, in the terms of this program. Package
// manifest reads it from documents, package play makes units of it. Each container of the Plan is a
// spec.Container with what its unit needs besides. Resolve adds what depends on the image and the
// machine. It touches no disk, no network and no manager.
//
// # Playing a plan
//
// Nothing is made before manifest.Read has given a plan without errors. Whoever plays it then
//
//   - makes the Claims that are missing and stores the Secrets (Claim.Host stays a directory,
//     Secret.Immutable is not replaced), and pulls the images of all containers, so that a failure
//     leaves what ran before alone;
//   - for each Pod makes its Spec, under the unit Pod.Unit, then its Volumes: HostCheck says what
//     must be at a path, File.Content gives the files of a VolumeFiles, written below a fresh
//     directory in memory;
//   - for each Container, in order, calls Resolve with the image's configuration and the Facts of
//     the pod, adds a mount for each of Resolved.Mounts by Mount.Spec with the place of its
//     volume, and starts the unit Container.Unit, bound to Pod.Unit and ordered after the units of
//     Container.After. An Init container is a oneshot that must succeed; the unit of the others is
//     ready as Container.Readiness says. Restart, Grace, Resources are settings of the unit;
//   - stops the ordinary containers together, then the sidecars in reverse order, each by PreStop,
//     the stop signal, and KILL after Grace.
//
// For a replacement, units whose Container.Digest is that of the plan that runs are left alone, as
// long as Pod.Digest is the same. A plan is recorded as JSON, so that what was played can be taken
// down and written back whatever has become of its files; values of secrets are not in it.
package kube

import (
	"slices"
	"time"

	"github.com/podunit/podunit/runner/spec"
)

// Plan is what a stream of documents asks for. Nothing of the machine has been looked at: images,
// hosts paths, stored volumes and the network are for whoever plays it. It survives a round trip
// through JSON, except for the values of secrets, which are never written.
type Plan struct {
	// Pods are in the order of the stream.
	Pods []*Pod
	// Claims are the volumes of PersistentVolumeClaim documents and of templates; those that pods
	// use without a document are made empty when they are missing.
	Claims []Claim `json:",omitempty"`
	// Secrets are to be stored under their names.
	Secrets []Secret `json:",omitempty"`
	// Objects are the documents as they were played, options folded in. Generate writes them back.
	Objects []Object `json:",omitempty"`
}

// Pod is one pod with its containers.
type Pod struct {
	// Name is the pod's name, such as web-pod for a Deployment web.
	Name string
	// Kind and Object name the document it came from.
	Kind, Object string
	// Unit is the service of its infra process, NAME-pod.service, as for every pod. The services
	// of its containers are bound to it.
	Unit string
	// Spec is what pod create would be asked: name, labels, networks, user namespace, published
	// ports, shared namespaces.
	Spec spec.Pod
	// Start is false for a pod that is only made: replicas 0, a suspended job.
	Start bool
	// Namespace is what fieldRef reports; it has no other meaning.
	Namespace   string
	Annotations map[string]string `json:",omitempty"`
	Network     Network
	// Restart is the pod's own policy: Always, OnFailure or Never. Each container has its own
	// words for systemd.
	Restart string
	// Grace is the time between a container's stop signal and KILL; zero means KILL at once.
	Grace time.Duration
	// Deadline is how long the pod may run; zero means for ever. After it the pod has failed.
	Deadline time.Duration `json:",omitempty"`
	// Containers are in the order of start: init containers and sidecars as written, then the
	// ordinary ones.
	Containers []*Container
	// Volumes are what the containers' mounts name.
	Volumes []*Volume `json:",omitempty"`
	// Limits are those of the pod as a whole, for its slice.
	Limits Resources
	// FSGroup is the group that owns the volumes which have FSGroup set; nil leaves them alone.
	FSGroup *int64 `json:",omitempty"`
	// FSGroupOnRootMismatch skips the walk through a claim whose root fits already.
	FSGroupOnRootMismatch bool `json:",omitempty"`
	// PullSecrets are names of secrets with logins for registries; a missing one is only a warning.
	PullSecrets []string `json:",omitempty"`
	// Runtime is the OCI runtime by its name in containers.conf, or empty.
	Runtime string `json:",omitempty"`
	// UserNSAuto asks for a user namespace of its own (hostUsers: false); --userns and the
	// annotation are stronger and are in Spec.
	UserNSAuto bool  `json:",omitempty"`
	Job        *Job  `json:",omitempty"`
	Cron       *Cron `json:",omitempty"`
	// Digest changes when anything of the pod itself changes, that is when all its containers must
	// be made anew. What belongs to one container is in that container's digest.
	Digest string
}

// Givers are the containers of the pod whose mounts one of them gets (VolumesFrom), also by way of
// others.
func (p *Pod) Givers(c *Container) []*Container {
	var out []*Container
	var add func(c *Container)
	add = func(c *Container) {
		for _, from := range c.VolumesFrom {
			for _, other := range p.Containers {
				if !from.Outside && other.Name == from.Container && !slices.Contains(out, other) {
					out = append(out, other)
					add(other)
				}
			}
		}
	}
	add(c)
	return out
}

// Network is what a pod's network needs beyond spec.Networking.
type Network struct {
	// Default says that nothing was asked for: the pod joins the network
	// podman-default-kube-network, which is made if it is missing and never removed.
	Default bool `json:",omitempty"`
	// Aliases are names under which other containers of its networks find the pod: those of its
	// containers, and of the services that select it.
	Aliases []string `json:",omitempty"`
	// IP and MAC are given on the command line for the n-th pod.
	IP  string `json:",omitempty"`
	MAC string `json:",omitempty"`
	// FQDN is the full name, in /etc/hosts before the short one; empty if there is no subdomain.
	FQDN string `json:",omitempty"`
	// HostDNS takes the machine's resolv.conf (dnsPolicy Default) instead of the network's name
	// server. With DNSOnly neither is taken, only what Spec says (None).
	HostDNS bool `json:",omitempty"`
	DNSOnly bool `json:",omitempty"`
}

// Role is what a container is to its pod.
type Role string

// The roles.
const (
	Init     Role = "init"     // runs to its end, successfully, before the next one starts
	Sidecar  Role = "sidecar"  // starts before the next one, runs along, stops after the ordinary ones
	Ordinary Role = "ordinary" // the pod lives as long as one of these
)

// Container is one container of a pod, and all that its unit needs.
type Container struct {
	// Name is the container's name in the document.
	Name string
	// Unit is the service of a container of the name Spec.Name, as for every container:
	// POD-NAME.service.
	Unit string
	Role Role
	// Spec is what run would be asked, complete but for what Resolve adds: command, environment,
	// user, mounts. Spec.Name is POD-NAME.
	Spec spec.Container
	// Process is the command and environment before Resolve.
	Process Process
	Restart Restart
	// Grace is the time between stop signal and KILL; zero means KILL at once. preStop runs within
	// it.
	Grace time.Duration
	// PostStart runs right after the start; the unit is ready only when it is done, and stops when
	// it fails.
	PostStart *Handler `json:",omitempty"`
	// PreStop runs before the stop signal of a stop that was asked for; its failure changes nothing.
	PreStop *Handler `json:",omitempty"`
	// Startup, Liveness and Readiness are nil if there is no such probe. The unit is ready when it
	// has started, PostStart is done, Startup has passed, and Readiness has passed once.
	Startup   *Probe `json:",omitempty"`
	Liveness  *Probe `json:",omitempty"`
	Readiness *Probe `json:",omitempty"`
	// StartTimeout is the least time that the unit needs to become ready: what its probes and
	// hooks may take. It comes on top of the time to pull and to start.
	StartTimeout time.Duration `json:",omitempty"`
	// After are the containers, by their names in the document, whose units this one starts after:
	// an init container must have succeeded, a sidecar be ready, an ordinary one have started.
	After []string `json:",omitempty"`
	// Mounts are in the order of the document; Volume of each is the name of one of the pod's
	// volumes.
	Mounts    []Mount `json:",omitempty"`
	Resources Resources
	// NonRoot refuses to start as user 0; Resolve does.
	NonRoot bool `json:",omitempty"`
	// UserSet and GroupSet are runAsUser and runAsGroup; nil leaves it to the image.
	UserSet  *int64 `json:",omitempty"`
	GroupSet *int64 `json:",omitempty"`
	// GroupsStrict leaves out the groups that the image gives the user.
	GroupsStrict bool `json:",omitempty"`
	// MessagePath is a file that the container may write its last words to, at most 4096 bytes.
	// MessageLogs takes the end of its log when the file is empty and the exit was an error.
	MessagePath string
	MessageLogs bool `json:",omitempty"`
	// VolumesFrom are other containers whose mounts it gets, with options.
	VolumesFrom []VolumesFrom `json:",omitempty"`
	// ImageVolumesFrom are images whose VOLUME directories it gets, read-only.
	ImageVolumesFrom []string `json:",omitempty"`
	// Digest changes when anything changes that makes it necessary to make this container anew:
	// its own fields, the content of its files and variables, its volumes. It holds no secret.
	Digest string
}

// Process is what becomes the command and environment of a container when the image and the
// machine are known.
type Process struct {
	// Command and Args are as written; $(NAME) is not expanded yet. A nil one was not given.
	Command []string `json:",omitempty"`
	Args    []string `json:",omitempty"`
	// Env are the variables from weak to strong.
	Env []Variable `json:",omitempty"`
}

// Variable is one variable of a container.
type Variable struct {
	Name string
	Value
}

// Value is a text, or where it comes from. At most one of the pointers is set.
type Value struct {
	// Text is the value; it is empty if one of the others is set.
	Text string `json:",omitempty"`
	// Expand says that $(NAME) in Text stands for an earlier variable.
	Expand bool `json:",omitempty"`
	// Secret is a key of a secret.
	Secret *KeyRef `json:",omitempty"`
	// Fact is something that is known when the pod runs: one of the Fact constants.
	Fact string `json:",omitempty"`
	// Capacity is a resource that has no limit: the machine's own counts.
	Capacity *Capacity `json:",omitempty"`
	// File is a variable in a file of one of the pod's volumes.
	File *FileKey `json:",omitempty"`
}

// Facts that a value can name, as in fieldRef.
const (
	FactName    = "metadata.name" // of a pod of a CronJob: each run has its own
	FactUID     = "metadata.uid"
	FactNode    = "spec.nodeName"
	FactHostIP  = "status.hostIP"
	FactHostIPs = "status.hostIPs"
	FactPodIP   = "status.podIP"
	FactPodIPs  = "status.podIPs"
)

// KeyRef is a key of a secret. Stored says that the secret is not among the documents.
type KeyRef struct {
	Secret, Key string
	Stored      bool `json:",omitempty"`
}

// Capacity is cpu or memory of the machine, divided and rounded up.
type Capacity struct {
	Resource string
	// Divisor is in units of the resource: cores for cpu, bytes for memory; a text that
	// resource.ParseQuantity reads.
	Divisor string
}

// FileKey is NAME=VALUE in a file of a volume.
type FileKey struct {
	Volume, Path, Key string
	Optional          bool `json:",omitempty"`
}

// Restart is what follows the end of a container, in systemd's words.
type Restart struct {
	// Policy is Restart=: always, on-failure or no.
	Policy string
	// Force and Prevent are RestartForceExitStatus= and RestartPreventExitStatus=: numbers and
	// names of signals.
	Force   []string `json:",omitempty"`
	Prevent []string `json:",omitempty"`
	// PodOn are exit statuses after which all containers of the pod start anew
	// (RestartAllContainers).
	PodOn []string `json:",omitempty"`
	// First, Steps and Max are RestartSec=, RestartSteps= and RestartMaxDelaySec=; there is no
	// limit to the number of starts. When a container that ran for Calm ends, the counter begins
	// anew.
	First, Max, Calm time.Duration
	Steps            uint
}

// Handler is one act of a hook or probe; one of the pointers is set.
type Handler struct {
	Exec  []string      `json:",omitempty"` // in the container, word by word
	HTTP  *HTTP         `json:",omitempty"`
	TCP   *TCP          `json:",omitempty"`
	GRPC  *GRPC         `json:",omitempty"`
	Sleep time.Duration `json:",omitempty"`
}

// HTTP is a GET from the pod's network namespace.
type HTTP struct {
	Scheme  string // http or https; certificates are not checked
	Host    string `json:",omitempty"` // empty for the pod itself
	Port    uint16
	Path    string
	Headers []Header `json:",omitempty"` // Host among them sets the host
}

// Header is a header of a request.
type Header struct{ Name, Value string }

// TCP is a connection from the pod's network namespace.
type TCP struct {
	Host string `json:",omitempty"`
	Port uint16
}

// GRPC asks grpc.health.v1.
type GRPC struct {
	Port    uint16
	Service string `json:",omitempty"`
}

// Probe is a repeated check.
type Probe struct {
	Handler
	Delay, Period, Timeout time.Duration
	// Success and Failure are how many results in a row change the verdict.
	Success, Failure int
	// Grace is the time to stop a container that this probe has failed; nil is the container's own.
	Grace *time.Duration `json:",omitempty"`
}

// Resources are limits in systemd's terms; zero means not set.
type Resources struct {
	CPUQuota  int64             `json:",omitempty"` // CPUQuota=, in thousandths of a core
	CPUWeight uint64            `json:",omitempty"` // CPUWeight=, 1 to 10000
	MemoryMax int64             `json:",omitempty"` // MemoryMax=, bytes
	MemoryLow int64             `json:",omitempty"` // MemoryLow=, bytes
	TasksMax  int64             `json:",omitempty"` // TasksMax=
	CPUs      string            `json:",omitempty"` // AllowedCPUs=
	Mems      string            `json:",omitempty"` // AllowedMemoryNodes=
	Shown     map[string]string `json:",omitempty"` // requests and limits as written, for generate and resourceFieldRef
}

// Mount puts a volume into a container.
type Mount struct {
	// Volume is the name of one of the pod's volumes.
	Volume string
	// Path is absolute, in the container.
	Path     string
	ReadOnly bool `json:",omitempty"`
	// RecursiveReadOnly is empty, IfPossible (Enabled where the kernel can) or Enabled.
	RecursiveReadOnly string `json:",omitempty"`
	// SubPath is relative to the volume; on a writable volume a missing one is made as a
	// directory. With Expand, $(NAME) in it stands for a variable, and Resolve expands it. Links
	// must not lead out of the volume.
	SubPath string `json:",omitempty"`
	Expand  bool   `json:",omitempty"`
	// Propagation is rprivate, rslave or rshared.
	Propagation string
	// Relabel (z or Z), Chown and Options are podman's, from the end of mountPath or from
	// annotations.
	Relabel string   `json:",omitempty"`
	Chown   bool     `json:",omitempty"`
	Options []string `json:",omitempty"`
}

// VolumesFrom takes the mounts of another container.
type VolumesFrom struct {
	// Container is a container of the pod by its name in the document, or any other container if
	// Outside.
	Container string
	Outside   bool     `json:",omitempty"`
	Options   []string `json:",omitempty"`
}

// VolumeKind is what a volume is made of.
type VolumeKind string

// The kinds of volumes.
const (
	VolumeEmpty  VolumeKind = "empty"  // a directory, mode 0777, that lives as long as the pod
	VolumeMemory VolumeKind = "memory" // one tmpfs for the pod
	VolumeHost   VolumeKind = "host"   // a path of the machine
	VolumeClaim  VolumeKind = "claim"  // a named volume; Ephemeral goes with the pod
	VolumeFiles  VolumeKind = "files"  // files in memory, below a fresh directory, mounted read-only
	VolumeImage  VolumeKind = "image"  // the tree of an image, read-only, noexec
)

// Volume is one volume of a pod.
type Volume struct {
	Name string
	Kind VolumeKind
	// Path and Check are those of a path of the machine: what to check before the first container
	// starts.
	Path  string    `json:",omitempty"`
	Check HostCheck `json:",omitempty"`
	// Claim is the name of the volume.
	Claim     string `json:",omitempty"`
	ReadOnly  bool   `json:",omitempty"`
	Ephemeral bool   `json:",omitempty"`
	// Size is the size of the tmpfs in bytes, or what an empty directory should not exceed; zero
	// means no limit.
	Size  int64  `json:",omitempty"`
	Files []File `json:",omitempty"`
	// Image and Pull are the image and its pull policy.
	Image string `json:",omitempty"`
	Pull  string `json:",omitempty"`
	// Options are those of the volume of a claim that is made for the pod, as for volume create.
	Options map[string]string `json:",omitempty"`
	// FSGroup says that the pod's fsGroup owns it.
	FSGroup bool `json:",omitempty"`
}

// HostCheck is the type of a hostPath: what must be there, or is made.
type HostCheck string

// The checks. Whoever makes something makes it as the root of the container: rootless, as the user.
const (
	HostExists     HostCheck = "exists"    // anything; the hint is DirectoryOrCreate
	HostMakeDir    HostCheck = "make-dir"  // a directory, made with its parents, 0755
	HostDir        HostCheck = "dir"       // a directory
	HostMakeFile   HostCheck = "make-file" // a file, made 0644 if its parents are there
	HostFile       HostCheck = "file"      // anything but a directory
	HostSocket     HostCheck = "socket"    // a socket
	HostCharDevice HostCheck = "char-dev"  // a character device
	HostBlockDev   HostCheck = "block-dev" // a block device
)

// File is a file of a volume of kind VolumeFiles.
type File struct {
	// Path is relative, and may have directories.
	Path string
	Mode uint32
	// Data is the content; it is empty if Value says where the content comes from.
	Data []byte `json:",omitempty"`
	Value
}

// Claim is a named volume to make if it is missing.
type Claim struct {
	Name   string
	Labels map[string]string `json:",omitempty"`
	// Driver and Options are as for volume create; Options are device, type, o, uid, gid, image.
	Driver  string            `json:",omitempty"`
	Options map[string]string `json:",omitempty"`
	// Import is an archive that is unpacked into the volume when it has just been made.
	Import string `json:",omitempty"`
	// Template says that it came from a StatefulSet.
	Template bool `json:",omitempty"`
	// Host is a directory that a PersistentVolume of the play binds the claim to; pods that use it
	// have it as a volume of kind VolumeHost. Check is what must be there, HostExists if empty.
	Host  string    `json:",omitempty"`
	Check HostCheck `json:",omitempty"`
}

// Secret is a Secret document. Its values are never written as JSON.
type Secret struct {
	Name      string
	Type      string            `json:",omitempty"`
	Labels    map[string]string `json:",omitempty"`
	Immutable bool              `json:",omitempty"`
	// Data are the values, stringData over data.
	Data map[string][]byte `json:"-"`
	// Keys are the names of the values, sorted.
	Keys []string `json:",omitempty"`
}

// Job is what ends a pod that is to finish.
type Job struct {
	// Name is the job's.
	Name string
	// BackoffLimit is how often the pod (Never) or its containers (OnFailure) may fail before the
	// job has failed.
	BackoffLimit int
	// Deadline is how long the whole job may take; zero means for ever.
	Deadline time.Duration `json:",omitempty"`
	// TTL is how long units and storage are kept after the end; nil means until somebody removes
	// them.
	TTL *time.Duration `json:",omitempty"`
	// Rules are those of podFailurePolicy, the first that fits wins.
	Rules []FailureRule `json:",omitempty"`
}

// FailureRule says what an exit status of a container means to the job.
type FailureRule struct {
	// Action is FailJob, Ignore or Count.
	Action string
	// Container is empty for any.
	Container string `json:",omitempty"`
	// Not turns Codes around: all but these.
	Not   bool `json:",omitempty"`
	Codes []int32
}

// Cron starts its pod's job at times of the calendar.
type Cron struct {
	// Name is the CronJob's; a run's job is NAME-MINUTES, counted from 1970.
	Name string
	// Schedule is as written, Calendar the OnCalendar= lines that mean the same; more than one
	// where Kubernetes joins by "or" what systemd joins by "and".
	Schedule string
	// Zone is timeZone, empty for the machine's.
	Zone     string `json:",omitempty"`
	Calendar []string
	// Concurrency is Allow, Forbid or Replace.
	Concurrency string
	// Late is how late a missed run is still made up; nil means once, however late.
	Late *time.Duration `json:",omitempty"`
	// Suspended says not to start the timer.
	Suspended bool `json:",omitempty"`
}

// Object is a document as it was played.
type Object struct {
	Kind, Name string
	// Source is the object as JSON; values of secrets are not in it.
	Source []byte
}
