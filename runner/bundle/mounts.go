// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
)

// mounts lays out the file systems: the kernel's, ours, and on top of them what
// was asked for. A mount that was asked for takes the place of one of ours.
// Symbolic links in destinations are followed by the runtime, inside the root.
func (b *builder) mounts() error {
	asked, err := b.asked()
	if err != nil {
		return err
	}
	ours, err := b.kernelMounts()
	if err != nil {
		return err
	}
	files, err := b.fileMounts()
	if err != nil {
		return err
	}
	ours = slices.Concat(ours, b.emptyMounts(), files)
	var all []rspec.Mount
	for _, m := range ours {
		if !superseded(m, asked) {
			all = append(all, m)
		}
	}
	all = append(all, asked...)
	// A mount point is mounted before what lies below it.
	slices.SortStableFunc(all, func(a, b rspec.Mount) int { return depth(a.Destination) - depth(b.Destination) })
	b.g.Config.Mounts = all
	l := b.g.Config.Linux
	if !b.privileged() {
		b.paths()
	}
	for _, m := range asked {
		if slices.Contains(m.Options, "shared") || slices.Contains(m.Options, "rshared") {
			// What is mounted there inside shows outside only if the root is
			// not cut off.
			l.RootfsPropagation = "shared"
		}
	}
	l.MountLabel = b.MountLabel
	return nil
}

func depth(p string) int {
	if p == "/" {
		return 0
	}
	return strings.Count(p, "/")
}

// superseded reports whether a mount of ours gives way: to one at the same
// place, or to one that replaces the whole of /dev, /proc or /sys.
func superseded(m rspec.Mount, asked []rspec.Mount) bool {
	for _, a := range asked {
		if a.Destination == m.Destination {
			return true
		}
		switch a.Destination {
		case "/dev", "/proc", "/sys":
			if strings.HasPrefix(m.Destination, a.Destination+"/") {
				return true
			}
		}
	}
	return false
}

// kernelMounts are proc, sysfs, cgroup and what is under /dev.
func (b *builder) kernelMounts() ([]rspec.Mount, error) {
	write := "ro"
	if b.privileged() {
		write = "rw"
	}
	proc := rspec.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}}
	if !b.controlsPID() {
		proc = rspec.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}}
	}
	proc.Options = append(proc.Options, b.Spec.ProcOpts...)

	sys := rspec.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", write}}
	if !b.controlsNet() {
		source := "/sys"
		if b.Sys != "" {
			source = b.Sys
		}
		sys = rspec.Mount{Destination: "/sys", Type: "bind", Source: source, Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev", write}}
	}
	cgroup := rspec.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
		Options: []string{"rprivate", "nosuid", "noexec", "nodev", "relatime", write}}
	if (b.systemd || b.unmasked("/sys/fs/cgroup")) && b.Namespaces.Cgroup == Private {
		cgroup.Options[len(cgroup.Options)-1] = "rw" // it manages the cgroups below
	}

	dev := rspec.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs",
		Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}} // some programs map /dev/zero to execute it
	if b.readOnly() && !b.Spec.ReadOnlyTmpfs {
		dev.Options = append(dev.Options, "ro")
	}
	pts := rspec.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
		Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}}
	// 5 is the group tty; the kernel refuses one that is not mapped.
	if _, mapped := spec.Outside(b.GIDMap, 5); mapped && (b.nested() || b.Host.GIDs > 5) {
		pts.Options = append(pts.Options, "gid=5")
	}
	mqueue := rspec.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}}
	if !b.controlsIPC() {
		mqueue = rspec.Mount{Destination: "/dev/mqueue", Type: "bind", Source: "/dev/mqueue", Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}}
	}
	all := []rspec.Mount{proc, sys, cgroup, dev, pts, mqueue}

	switch {
	case b.Spec.IPCNS.Mode == "none":
	case b.Shm != "":
		all = append(all, rspec.Mount{Destination: "/dev/shm", Type: "bind", Source: b.Shm, Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}})
	case b.Namespaces.IPC == HostNS:
		all = append(all, rspec.Mount{Destination: "/dev/shm", Type: "bind", Source: "/dev/shm", Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}})
	default:
		size, err := b.shmSize()
		if err != nil {
			return nil, err
		}
		m := rspec.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777"}}
		if size > 0 { // zero is no limit
			m.Options = append(m.Options, "size="+strconv.FormatInt(size, 10))
		}
		if b.readOnly() && !b.Spec.ReadOnlyTmpfs {
			m.Options = append(m.Options, "ro")
		}
		all = append(all, m)
	}
	return all, nil
}

func (b *builder) shmSize() (int64, error) {
	if b.Spec.ShmSize != nil {
		return *b.Spec.ShmSize, nil
	}
	if b.Config.ShmSize == "" {
		return 64 << 20, nil
	}
	n, err := units.RAMInBytes(b.Config.ShmSize)
	if err != nil {
		return 0, fmt.Errorf("shm_size %q of containers.conf is not a size", b.Config.ShmSize)
	}
	return n, nil
}

func (b *builder) readOnly() bool { return b.g.Config.Root.Readonly }

// emptyMounts are tmpfs at places that must be writable: for systemd, and with
// a read-only root. They begin with what the image has there.
func (b *builder) emptyMounts() []rspec.Mount {
	var places []string
	if b.systemd {
		places = append(places, "/run", "/run/lock", "/tmp", "/var/log/journal")
	}
	if b.readOnly() && b.Spec.ReadOnlyTmpfs {
		for _, p := range []string{"/run", "/tmp", "/var/tmp"} {
			if !slices.Contains(places, p) {
				places = append(places, p)
			}
		}
	}
	var all []rspec.Mount
	for _, p := range places {
		all = append(all, rspec.Mount{Destination: p, Type: "tmpfs", Source: "tmpfs", Options: []string{"rw", "rprivate", "nosuid", "nodev", "tmpcopyup"}})
	}
	return all
}

// fileMounts are single files: those made for the container, the init, the
// notify socket.
func (b *builder) fileMounts() ([]rspec.Mount, error) {
	var all []rspec.Mount
	bind := func(source, destination string, write bool) error {
		flags, err := b.Host.MountFlags(source)
		if err != nil {
			return fmt.Errorf("mount %s on %s: %w", source, destination, err)
		}
		m := rspec.Mount{Destination: destination, Type: "bind", Source: source, Options: []string{"bind", "rprivate", "nosuid", "nodev"}}
		if slices.Contains(flags, "noexec") || b.readOnly() && source != b.Init { // the first is locked inside a user namespace
			m.Options = append(m.Options, "noexec")
		}
		if !write {
			m.Options = append(m.Options, "ro")
		}
		all = append(all, m)
		return nil
	}
	for _, f := range b.Files {
		if err := bind(f.Source, f.Destination, !f.ReadOnly && !b.readOnly()); err != nil {
			return nil, err
		}
	}
	if b.init() {
		if err := bind(b.Init, initPath, false); err != nil {
			return nil, fmt.Errorf("--init: %w", err)
		}
	}
	if b.NotifySocket != "" {
		if err := bind(b.NotifySocket, notifyPath, true); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// asked are the mounts of the command line; the caller of Build has matched patterns already.
func (b *builder) asked() ([]rspec.Mount, error) {
	var all []rspec.Mount
	for _, m := range b.Mounts {
		switch m.Type {
		case spec.MountTmpfs, spec.MountRamfs, spec.MountDevpts:
			if (b.Rootless || b.nested()) && slices.Contains(m.Options, "noswap") {
				return nil, fmt.Errorf("mount on %s: the option noswap is for containers of root in no user namespace; leave it out", m.Destination)
			}
			all = append(all, b.memory(m.Mount))
		case spec.MountBind, spec.MountVolume:
			one, err := b.bind(m, m.Path, m.Destination)
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		default:
			return nil, fmt.Errorf("mount on %s: nothing is known about type %q", m.Destination, m.Type)
		}
	}
	return all, nil
}

// memory is a mount without a source.
func (b *builder) memory(m spec.Mount) rspec.Mount {
	options := m.MemoryOptions()
	if m.Chown {
		options = append(options, fmt.Sprintf("uid=%d", b.identity.UID), fmt.Sprintf("gid=%d", b.identity.GID))
	}
	return rspec.Mount{Destination: m.Destination, Type: m.Type, Source: m.Type, Options: options}
}

// either adds an option unless it or its opposite was given.
func either(m *rspec.Mount, option, opposite string) {
	if !slices.Contains(m.Options, option) && !slices.Contains(m.Options, opposite) {
		m.Options = append(m.Options, option)
	}
}

// bind shows a file or directory of the host.
func (b *builder) bind(m Mount, source, destination string) (rspec.Mount, error) {
	if source == "" {
		return rspec.Mount{}, fmt.Errorf("mount on %s: its source was not resolved", destination)
	}
	flags, err := b.Host.MountFlags(source)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return rspec.Mount{}, fmt.Errorf("mount %s on %s: it is not there; create it first, or use a volume: NAME:%s", source, destination, destination)
		}
		return rspec.Mount{}, fmt.Errorf("mount %s on %s: %w", source, destination, err)
	}
	if m.Overlay {
		if m.Upper == "" || m.Work == "" {
			return rspec.Mount{}, fmt.Errorf("mount %s on %s: the option O needs directories for the changes", source, destination)
		}
		return rspec.Mount{Destination: destination, Type: "overlay", Source: "overlay", Options: []string{
			"lowerdir=" + EscapeOverlay(source), "upperdir=" + EscapeOverlay(m.Upper), "workdir=" + EscapeOverlay(m.Work), "private",
		}}, nil
	}
	out := rspec.Mount{Destination: destination, Type: "bind", Source: source, Options: slices.Clone(m.Options)}
	either(&out, "rbind", "bind")
	either(&out, "rw", "ro")
	if !slices.ContainsFunc(out.Options, isPropagation) {
		out.Options = append(out.Options, "rprivate")
	}
	if m.Type == spec.MountVolume {
		out.Options = (spec.Mount{Options: out.Options}).VolumeOptions()
	}
	for _, f := range flags {
		// Inside a user namespace flags of the source are locked: to ask for a
		// remount without them fails.
		if !slices.Contains(out.Options, f) && (b.Rootless || !slices.Contains(out.Options, strings.TrimPrefix(f, "no"))) {
			out.Options = slices.DeleteFunc(out.Options, func(o string) bool { return o == strings.TrimPrefix(f, "no") })
			out.Options = append(out.Options, f)
		}
	}
	return out, nil
}

// EscapeOverlay protects what is special in a path of overlay's options: a comma there would begin
// another option, a colon another layer. Source: Linux, Documentation/filesystems/overlayfs.rst.
func EscapeOverlay(p string) string {
	return strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`).Replace(p)
}

func isPropagation(o string) bool {
	switch o {
	case "shared", "rshared", "slave", "rslave", "private", "rprivate", "unbindable", "runbindable":
		return true
	}
	return false
}

// unmasked tells whether a path that is hidden or protected by default is not to be.
func (b *builder) unmasked(p string) bool {
	for _, u := range b.Spec.Unmask {
		if strings.EqualFold(u, "all") || u == p {
			return true
		}
		if ok, err := path.Match(u, p); err == nil && ok {
			return true
		}
	}
	return false
}

// paths hides and protects what of the kernel's files is not the container's.
func (b *builder) paths() {
	l := b.g.Config.Linux
	// A sysfs or procfs that is bound from the host has the same files.
	masked := b.Host.MaskedPaths
	if !b.controlsNet() && b.Sys == "" {
		// This is the machine's own sysfs, with what is mounted below it.
		masked = append(slices.Clone(masked), "/sys/kernel")
	}
	for _, p := range masked {
		if !b.unmasked(p) {
			l.MaskedPaths = append(l.MaskedPaths, p)
		}
	}
	for _, p := range b.Host.ReadOnlyPaths {
		if !b.unmasked(p) {
			l.ReadonlyPaths = append(l.ReadonlyPaths, p)
		}
	}
	for _, p := range b.Spec.Mask {
		if !slices.Contains(l.MaskedPaths, p) {
			l.MaskedPaths = append(l.MaskedPaths, p)
		}
	}
}
