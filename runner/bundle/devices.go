// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// devices shows devices of the host. Without rights no device can be made, so
// there the host's own is bound; the kernel's permissions decide either way.
func (b *builder) devices() error {
	l := b.g.Config.Linux
	user := b.Rootless || b.nested()
	if !user && b.Cgroup.Path != "" {
		if l.Resources == nil {
			l.Resources = &rspec.LinuxResources{}
		}
		// The runtime adds the devices that every container has.
		l.Resources.Devices = append(l.Resources.Devices, rspec.LinuxDeviceCgroup{Allow: b.privileged(), Access: "rwm"})
	}
	asked := slices.Clone(b.Spec.Devices)
	for _, d := range b.Config.Devices.Get() {
		host, rest, found := strings.Cut(d, ":")
		dev := spec.Device{Host: host, Container: host, Permissions: "rwm"}
		if found {
			inside, perms, more := strings.Cut(rest, ":")
			switch {
			case more:
				dev.Container, dev.Permissions = inside, perms
			case strings.HasPrefix(inside, "/"):
				dev.Container = inside
			default:
				dev.Permissions = inside
			}
		}
		asked = append(asked, dev)
	}
	var nodes []spec.Device
	if err := b.deviceRules(); err != nil {
		return err
	}
	for _, d := range asked {
		if d.CDI {
			continue // see package cdi
		}
		found, err := expand(d)
		if err != nil {
			return fmt.Errorf("--device %s: %w", d.Host, err)
		}
		nodes = append(nodes, found...)
	}
	if b.privileged() {
		found, err := expand(spec.Device{Host: "/dev", Container: "/dev", Permissions: "rwm"})
		if err != nil {
			return fmt.Errorf("--privileged: %w", err)
		}
		for _, d := range found {
			// A console of the machine would be taken over by a systemd or a getty inside.
			if (user || b.systemd) && virtualConsole(d.Container) {
				continue
			}
			if !ownDevice(d.Container) && !slices.ContainsFunc(nodes, func(o spec.Device) bool { return o.Container == d.Container }) {
				nodes = append(nodes, d)
			}
		}
	}
	for _, d := range nodes {
		if slices.ContainsFunc(b.g.Config.Mounts, func(m rspec.Mount) bool {
			return m.Destination == d.Container || m.Destination == "/dev" && m.Type == "bind" && strings.HasPrefix(d.Container, "/dev/")
		}) {
			continue // a mount that was asked for brings it
		}
		if user {
			b.g.Config.Mounts = append(b.g.Config.Mounts, DeviceMount(d.Host, d.Container, d.Permissions))
			continue
		}
		if err := b.node(d); err != nil {
			return fmt.Errorf("--device %s: %w", d.Host, err)
		}
	}
	return nil
}

// DeviceMount binds a device of the host where no node can be made; permissions are of the letters
// r, w and m.
func DeviceMount(host, inside, permissions string) rspec.Mount {
	write := "rw"
	if !strings.Contains(permissions, "w") {
		write = "ro"
	}
	return rspec.Mount{Destination: inside, Type: "bind", Source: host, Options: []string{"bind", "rprivate", "nosuid", "noexec", write}}
}

// deviceRules allows devices that have no node yet. A user's container has what the user may open.
func (b *builder) deviceRules() error {
	if len(b.Spec.DeviceRules) == 0 {
		return nil
	}
	if b.Rootless {
		return errors.New("--device-cgroup-rule: the kernel lets only root say which devices may be used; as a user, the permissions of the device decide")
	}
	if b.g.Config.Linux.Resources == nil || b.privileged() {
		return nil // it may use all devices
	}
	for _, r := range b.Spec.DeviceRules {
		r := rspec.LinuxDeviceCgroup{Allow: true, Type: r.Type, Major: r.Major, Minor: r.Minor, Access: r.Access}
		b.g.Config.Linux.Resources.Devices = append(b.g.Config.Linux.Resources.Devices, r)
	}
	return nil
}

// ownDevice reports whether a device is one that each container has of its own.
func ownDevice(p string) bool {
	switch p {
	case "/dev/console", "/dev/ptmx", "/dev/tty", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom":
		return true
	}
	return false
}

// virtualConsole reports whether a device is a console of the machine: /dev/tty and a number.
func virtualConsole(p string) bool {
	n, found := strings.CutPrefix(p, "/dev/tty")
	return found && n != "" && strings.Trim(n, "0123456789") == ""
}

// expand lists the devices at a path, which may be a directory. Directories that
// hold something other than the machine's devices are left out.
func expand(d spec.Device) ([]spec.Device, error) {
	info, err := os.Stat(d.Host)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("it is not there")
		}
		return nil, err
	}
	if !info.IsDir() {
		if info.Mode()&fs.ModeDevice == 0 {
			return nil, errors.New("it is not a device")
		}
		return []spec.Device{d}, nil
	}
	var all []spec.Device
	err = filepath.WalkDir(d.Host, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
				return nil // devices come and go, and not all may be seen
			}
			return err
		}
		if e.IsDir() {
			switch e.Name() {
			case "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev":
				return filepath.SkipDir
			}
			return nil
		}
		if e.Type()&fs.ModeDevice == 0 {
			return nil
		}
		rel, err := filepath.Rel(d.Host, p)
		if err != nil {
			return err
		}
		all = append(all, spec.Device{Host: p, Container: filepath.Join(d.Container, rel), Permissions: d.Permissions})
		return nil
	})
	return all, err
}

// node has the runtime make a device, and its cgroup allow it.
func (b *builder) node(d spec.Device) error {
	var st unix.Stat_t
	if err := unix.Stat(d.Host, &st); err != nil {
		return err
	}
	kind := "c"
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		kind = "b"
	}
	major, minor := int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	mode := fs.FileMode(st.Mode & 0o7777)
	uid, gid := st.Uid, st.Gid
	l := b.g.Config.Linux
	l.Devices = append(l.Devices, rspec.LinuxDevice{Path: d.Container, Type: kind, Major: major, Minor: minor, FileMode: &mode, UID: &uid, GID: &gid})
	if l.Resources != nil && !b.privileged() {
		l.Resources.Devices = append(l.Resources.Devices, rspec.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: d.Permissions})
	}
	return nil
}
