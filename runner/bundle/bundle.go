// SPDX-License-Identifier: Apache-2.0

// Package bundle turns what a container asks for and what its image brings into
// an OCI runtime configuration, config.json. It reads (the image's user
// database, a seccomp profile, what kind of file a device is) and changes
// nothing but /etc/localtime, which SetTimezone writes; pulling, mounting and
// volumes are done before, running after. There is a file for each concern.
package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-tools/generate"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// Input is everything config.json depends on.
type Input struct {
	// ID is the container's ID.
	ID string
	// Spec is what was asked for.
	Spec *spec.Container
	// Image is the image's configuration; nil with a Rootfs.
	Image *v1.ImageConfig
	// Rootfs is the path of the mounted root file system.
	Rootfs string
	// User is who the container's process is, as Identify sets it; nil to have it looked up.
	User *User
	// Config is the ecosystem's configuration; nil means its built-in defaults. What of it a flag
	// may override is in Spec already; see spec.Configured.
	Config *config.ContainersConfig
	// Host is what the machine and this process bring along; see Probe.
	Host Host
	// Rootless says that this process is root only inside a user namespace.
	Rootless bool

	// UIDMap and GIDMap are the mappings of a user namespace of the container's
	// own, as spec.IDMapping.Resolve gives them; nil means it stays in ours.
	UIDMap, GIDMap []spec.IDRange
	Namespaces     Namespaces

	// Cgroup is where the container's cgroup goes.
	Cgroup Cgroup

	// Hostname is set in a UTS namespace of the container's own, and is
	// HOSTNAME in its environment.
	Hostname string
	// Mounts are the container's and its pod's, sources resolved.
	Mounts []Mount
	// Files are single files made for the container, such as resolv.conf.
	Files []File
	// Shm is the directory or tmpfs on the host that is /dev/shm, shared in a
	// pod; empty means a tmpfs of the container's own.
	Shm string
	// Sys is a sysfs of the container's network namespace, mounted by the caller,
	// for a container that may not mount one because its own user namespace does
	// not own that network namespace; empty means the host's is bound instead.
	Sys string
	// Variables are stronger than all other ones: those whose values no record has.
	Variables map[string]string
	// NotifySocket is the socket on the host that takes the container's
	// sd_notify messages, or empty.
	NotifySocket string
	// Sockets is how many sockets of the unit the container gets as descriptors 3 and on, and
	// SocketNames their names, separated by colons.
	Sockets     int
	SocketNames string
	// Init is the path of the small init on the host, needed with --init.
	Init string
	// ProcessLabel and MountLabel are those of SELinux; see Labels.
	ProcessLabel, MountLabel string
	// AppArmor is the default profile, if it is loaded, or empty.
	AppArmor string
}

// Where a namespace comes from, if it is no path.
const (
	Private = ""     // a new one
	HostNS  = "host" // the one this process is in
)

// Namespaces are where the container's namespaces come from: Private, the
// host's, or a path such as /proc/123/ns/net.
type Namespaces struct {
	PID, IPC, UTS, Net, Cgroup string
	// User is that of a container with mappings, Private or a path.
	User string
}

// Cgroup is the cgroup that the container will be in.
type Cgroup struct {
	// Path is the cgroupsPath of config.json; empty means no cgroup is made and
	// no limit can be set.
	Path string
	// Controllers are those that can be used in it, such as memory and pids;
	// limits of others are left out, with a warning if they were asked for.
	Controllers []string
	// Swap says that swap can be limited.
	Swap bool
}

func (c Cgroup) has(controller string) bool {
	return c.Path != "" && slices.Contains(c.Controllers, controller)
}

// Mount is a mount whose source is at hand.
type Mount struct {
	spec.Mount
	// Path is the directory or file on the host for types bind and volume.
	Path string
}

// File is a file of the host that appears inside.
type File struct {
	Source, Destination string
	ReadOnly            bool
}

// Build makes the configuration. The warnings are for the user: things asked
// for that cannot be had here and do no harm.
func Build(in Input) (*rspec.Spec, []string, error) {
	if in.Spec == nil {
		return nil, nil, errors.New("bundle: no container")
	}
	if in.Image == nil {
		in.Image = &v1.ImageConfig{}
	}
	if in.Config == nil {
		in.Config = defaults()
	}
	b := &builder{Input: in, g: generate.NewFromSpec(&rspec.Spec{
		Version: rspec.Version,
		Root:    &rspec.Root{Path: in.Rootfs, Readonly: in.Spec.ReadOnly},
		Process: &rspec.Process{},
		Linux:   &rspec.Linux{},
	})}
	// Seccomp comes after capabilities, which it looks at, and mounts after
	// namespaces and process, which decide what may be mounted.
	for _, step := range []func() error{
		b.root, b.user, b.process, b.capabilities, b.seccomp, b.namespaces, b.sysctls, b.mounts, b.devices, b.resources, b.rlimits,
		b.labels, b.annotations,
	} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return b.g.Config, b.warnings, nil
}

// root refuses an image in which a place of the kernel's file systems is something else than a
// directory. Before the runtime leaves the host's root it makes links and files there: through a
// symbolic link it would do so in a directory of the host.
func (b *builder) root() error {
	for _, dir := range []string{"dev", "proc", "sys"} {
		st, err := os.Lstat(filepath.Join(b.Rootfs, dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case st.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("/%s of the image is a link, and must be a directory or missing", dir)
		case !st.IsDir():
			return fmt.Errorf("/%s of the image is no directory", dir)
		}
	}
	return nil
}

// builder is the state of one Build.
type builder struct {
	Input
	g        generate.Generator
	identity User
	systemd  bool
	warnings []string
}

func (b *builder) warn(format string, a ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, a...))
}

// nested reports whether the container has a user namespace of its own.
func (b *builder) nested() bool { return len(b.UIDMap) > 0 }

// privileged reports whether nothing but its namespaces confines the container.
func (b *builder) privileged() bool { return b.Spec.Privileged }

func (b *builder) annotations() error {
	for _, kv := range b.Config.Annotations.Get() {
		name, value := cut(kv)
		b.g.AddAnnotation(name, value)
	}
	for name, value := range b.Spec.Annotations {
		b.g.AddAnnotation(name, value)
	}
	return nil
}
