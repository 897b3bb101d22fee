// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/selinux/go-selinux/label"
	"go.podman.io/common/pkg/apparmor"
	"golang.org/x/sys/unix"
)

// oci makes the OCI configuration of one start and the files bound into it.
func (s *start) oci(ctx context.Context) (*rspec.Spec, error) {
	e, l, r := s.Engine, s.ask, s.ask.Record
	uids, gids, err := e.IDMappings(*r)
	if err != nil {
		return nil, err
	}
	host, err := bundle.Probe(apparmor.IsEnabled() && !e.User.Rootless(), e.labels())
	if err != nil {
		return nil, err
	}
	in := bundle.Input{
		ID:       r.ID,
		Spec:     &r.Spec,
		Image:    &r.Config,
		Rootfs:   s.rootfs,
		Config:   &e.Config.Containers,
		Host:     host,
		Rootless: e.User.Rootless(),
		UIDMap:   uids,
		GIDMap:   gids,
		Sockets:  l.Sockets.Listening, SocketNames: l.Sockets.Names,
		Cgroup: bundle.Cgroup{Path: l.Cgroup, Controllers: l.Controllers, Swap: cgroup.LimitsSwap(l.Cgroup)},
	}
	uid, gid, err := in.Owner()
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", r.Name, err)
	}
	mounts, err := e.sources(ctx, *r, r.Spec.Mounts, s.rootfs, owner{uid, gid})
	if err != nil {
		return nil, err
	}
	if in.NotifySocket, err = s.openNotify(); err != nil {
		return nil, err
	}
	if in.Namespaces, err = s.namespaces(ctx); err != nil {
		return nil, err
	}
	if in.Hostname, err = s.hostname(in.Namespaces); err != nil {
		return nil, err
	}
	if err := e.confine(&in, mounts, s.label); err != nil {
		return nil, err
	}
	if err := s.sysfs(&in); err != nil {
		return nil, err
	}
	s.netns, s.sysctls = in.Namespaces.Net, in.NetSysctls()
	for _, m := range mounts {
		in.Mounts = append(in.Mounts, bundle.Mount{Mount: m, Path: m.Source})
	}
	if in.Init, err = e.initPath(r.Spec); err != nil {
		return nil, err
	}
	if err := s.files(e.Files(r.ID), &in); err != nil {
		return nil, err
	}
	if err := e.userFiles(*r, s.rootfs, e.Files(r.ID), mounts, &in); err != nil {
		return nil, err
	}
	if err := giveFiles(&in); err != nil {
		return nil, fmt.Errorf("container %s: %w", r.Name, err)
	}
	if err := linkMtab(&in); err != nil {
		return nil, fmt.Errorf("container %s: %w", r.Name, err)
	}
	if err := e.giveSecrets(*r, &in); err != nil {
		return nil, err
	}
	config, warnings, err := bundle.Build(in)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", r.Name, err)
	}
	if err := s.complete(config, uids, gids, owner{uid, gid}); err != nil {
		return nil, fmt.Errorf("container %s: %w", r.Name, err)
	}
	for _, w := range warnings {
		fmt.Fprintf(os.Stderr, "podunit: warning: %s\n", w)
	}
	return config, nil
}

// linkMtab gives a root that has no /etc/mtab the link that programs such as df look for. It
// belongs to the container's root. A directory of somebody else's stays as it is.
func linkMtab(in *bundle.Input) error {
	if in.Spec.Rootfs != nil && !in.Spec.Rootfs.Overlay {
		return nil
	}
	etc, err := safe.OpenIn(in.Rootfs, "etc", unix.O_RDONLY|unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil // what lists mounts is not there either
	}
	if err != nil {
		return fmt.Errorf("/etc/mtab: %w", err)
	}
	defer etc.Close()
	err = unix.Symlinkat("/proc/mounts", int(etc.Fd()), "mtab")
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if uid, gid := in.Outside(0, 0); err == nil && (uid != 0 || gid != 0) {
		err = unix.Fchownat(int(etc.Fd()), "mtab", uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("/etc/mtab: %w", err)
	}
	return nil
}

// sysfs mounts a sysfs for a container whose user namespace does not own its network namespace: it
// cannot mount one of its own, and must not see ours.
func (s *start) sysfs(in *bundle.Input) error {
	net := in.Namespaces.Net
	if len(in.UIDMap) == 0 || !strings.HasPrefix(net, "/") {
		return nil
	}
	in.Sys = filepath.Join(s.Engine.dir(in.ID), "sys")
	if s.network != nil {
		if err := s.network.Made(); err != nil {
			return err
		}
	}
	return errors.Join(os.MkdirAll(in.Sys, 0o755), netns.Sysfs(net, in.Sys))
}

// complete adds to a configuration what depends on this machine: devices of vendors, and where the
// runtime finds the root. It notes which of our IDs is the container's root.
func (s *start) complete(config *rspec.Spec, uids, gids []spec.IDRange, who owner) (err error) {
	if names := s.ask.Record.Spec.CDI(); len(names) > 0 {
		if err := s.InjectDevices(config, s.Config.Engine.CdiSpecDirs.Get(), names, s.User.Rootless() || len(uids) > 0); err != nil {
			return err
		}
	}
	if s.owner = nil; len(uids) > 0 {
		s.owner = &who
	}
	config.Root.Path, err = s.reachable(s.rootfs, uids, gids)
	return err
}

// giveFiles makes the container's root the owner of the files that are made for it. As we make
// them, they would belong to the container's user with keep-id.
func giveFiles(in *bundle.Input) error {
	uid, gid := in.Outside(0, 0)
	if uid != 0 || gid != 0 {
		for _, f := range in.Files {
			if err := os.Chown(f.Source, uid, gid); err != nil {
				return err
			}
		}
	}
	return in.SetTimezone(uid, gid)
}

// Hostname is what was asked for; else the machine's, if the container has the machine's network;
// else its name, if containers.conf says so; else the first 12 digits of the ID.
func (r Record) Hostname() string {
	if r.Spec.Hostname != "" {
		return r.Spec.Hostname
	}
	if r.Spec.HostNetwork() || r.Spec.UTSNS.Mode == "host" {
		if name, err := os.Hostname(); err == nil {
			return name
		}
	}
	return r.ID[:12]
}

// namespaces are the pod's where the pod shares them, those of another container or of a path where
// asked for, and new ones otherwise.
func (s *start) namespaces(ctx context.Context) (bundle.Namespaces, error) {
	user, err := s.joinedUser(ctx)
	n := bundle.Namespaces{User: user}
	if err != nil {
		return n, err
	}
	l := s.ask
	if err := l.Join.running(); err != nil {
		return n, err
	}
	shared := func(name string) bool { return l.Join != nil && slices.Contains(l.Join.Share, name) }
	r := l.Record
	for _, ns := range []struct {
		name  string
		file  string
		asked spec.Namespace
		to    *string
	}{
		{"pid", "pid", r.Spec.PIDNS, &n.PID},
		{"ipc", "ipc", r.Spec.IPCNS, &n.IPC},
		{"uts", "uts", r.Spec.UTSNS, &n.UTS},
		{"cgroupns", "cgroup", r.Spec.CgroupNS, &n.Cgroup},
	} {
		switch ns.asked.Mode {
		case "host":
			*ns.to = bundle.HostNS
		case "ns":
			f, err := process.OpenNamespace(ns.asked.Path)
			if err != nil {
				return n, fmt.Errorf("--%s ns: %w", ns.name, err)
			}
			_ = f.Close() // the runtime opens it again
			*ns.to = ns.asked.Path
		case "container":
			if *ns.to, err = s.joined(ns.file); err != nil {
				return n, fmt.Errorf("--%s container:%s: %w", ns.name, ns.asked.Container, err)
			}
		case "", "pod":
			if shared(ns.file) && ns.file != "cgroup" {
				*ns.to = process.Namespace(l.Join.PID, ns.file)
			}
		}
		if *ns.to != "" && process.IsOurs(*ns.to, ns.file) {
			*ns.to = bundle.HostNS // it shares the host's
		}
	}
	switch {
	case shared("net") && l.Join.HostNetwork, s.network != nil && s.network.Mode() == spec.NetHost:
		n.Net = bundle.HostNS
	case shared("net"):
		n.Net = process.Namespace(l.Join.PID, "net")
	case s.network != nil:
		n.Net = s.network.Path()
		if other, joins := l.Peers["net"]; joins {
			path, err := s.joined("net")
			if err == nil && path != n.Net {
				err = ErrNotRunning // it has another one by now, whose addresses nobody has looked at
			}
			if err != nil {
				return n, fmt.Errorf("--network container:%s: %w", other.Name, err)
			}
		}
	}
	return n, ownedBy(n.User, n.PID)
}

// hostname is what a container's name is inside: its own, or that of whoever's UTS namespace it is
// in.
func (s *start) hostname(n bundle.Namespaces) (string, error) {
	r := s.ask.Record
	mode := r.Spec.UTSNS.Mode
	switch {
	case n.UTS == bundle.HostNS:
		return os.Hostname()
	case mode == "container":
		other, err := s.ask.Peers.of("uts")
		if err != nil {
			return "", err
		}
		// The file has the name since its start, which may be that of a pod; with --no-hostname
		// there is none.
		return readHostname(s.Files(other.ID), other.Hostname())
	case s.sharesUTS() && (mode == "" || mode == "pod"):
		return readHostname(s.ask.Join.Files, r.Hostname())
	}
	return r.Hostname(), nil
}

// maxHostname is the length of the longest name, and of the end of its line, in bytes. Source:
// gethostname(2), HOST_NAME_MAX.
const maxHostname = 64 + 1

// readHostname reads the name in the files of a container or a pod, or takes the other name if
// there is no file. Containers may write to it: what is no name of a machine counts as none, too.
func readHostname(files, otherwise string) (string, error) {
	name, err := safe.ReadFile(filepath.Join(files, "hostname"), maxHostname)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, safe.ErrTooLarge) {
		return otherwise, nil
	}
	if err != nil {
		return "", err
	}
	if n := strings.TrimSpace(string(name)); spec.CheckHostname(n) == nil {
		return n, nil
	}
	return otherwise, nil
}

// sharesUTS reports whether the pod has a name for all its containers.
func (s *start) sharesUTS() bool {
	return s.ask.Join != nil && slices.Contains(s.ask.Join.Share, "uts")
}

// files are resolv.conf, hosts, hostname and .containerenv; a pod's are shared.
func (s *start) files(dir string, in *bundle.Input) error {
	e, l, r := s.Engine, s.ask, s.ask.Record
	from := dir
	podNet := l.Join != nil && slices.Contains(l.Join.Share, "net")
	if podNet {
		from = l.Join.Files
	}
	if !r.Spec.NoHostname {
		path := filepath.Join(dir, "hostname")
		if err := os.WriteFile(path, []byte(in.Hostname+"\n"), 0o644); err != nil {
			return err
		}
		if s.sharesUTS() {
			path = filepath.Join(l.Join.Files, "hostname")
		}
		in.Files = append(in.Files, bundle.File{Source: path, Destination: "/etc/hostname"})
	}
	for _, name := range []string{"hosts", "resolv.conf"} {
		path := filepath.Join(from, name)
		if _, err := os.Stat(path); err == nil {
			in.Files = append(in.Files, bundle.File{Source: path, Destination: "/etc/" + name})
		}
	}
	// Programs ask for this file to know that they are in a container. Only one with rights over the
	// machine is told which.
	env := filepath.Join(dir, "containerenv")
	content := ""
	if r.Spec.Privileged {
		content = fmt.Sprintf("engine=\"podunit\"\nname=%q\nid=%q\nimage=%q\nimageid=%q\nrootless=%d\n",
			r.Name, r.ID, r.ImageName, r.ImageID, map[bool]int{true: 1}[e.User.Rootless()])
	}
	if err := os.WriteFile(env, []byte(content), 0o644); err != nil {
		return err
	}
	in.Files = append(in.Files, bundle.File{Source: env, Destination: "/run/.containerenv"})
	if l.Join != nil && slices.Contains(l.Join.Share, "ipc") && (r.Spec.IPCNS.Mode == "" || r.Spec.IPCNS.Mode == "pod") {
		// POSIX shared memory is a file system, which is not part of an IPC namespace. The infra
		// process holds the pod's.
		in.Shm = filepath.Join(l.Join.Dir, "shm")
		if err := netns.Tree(l.Join.PID, helper.HeldShm, in.Shm); err != nil {
			return err
		}
		if err := l.Join.running(); err != nil {
			return err // the mount may be anybody's
		}
	}
	return nil
}

// userFiles binds a passwd and a group that know the container's user, and hands the
// sources of mounts with the option U to it.
func (e *Engine) userFiles(r Record, rootfs, dir string, mounts []spec.Mount, in *bundle.Input) error {
	var who bundle.Account
	if in.KeepID() != nil {
		who = bundle.FindAccount(e.User.UID, e.User.GID, os.LookupEnv)
	}
	passwd, group, err := in.Identify(who)
	if err != nil {
		return fmt.Errorf("container %s: %w", r.Name, err)
	}
	u := in.User
	uid, gid, err := in.Owner()
	if err != nil {
		return err
	}
	if err := giveSources(mounts, uid, gid); err != nil {
		return err
	}
	if !r.Spec.Passwd || u.UID == 0 && u.Name != "" {
		return nil
	}
	for name, content := range map[string][]byte{"passwd": passwd, "group": group} {
		if content == nil {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
		in.Files = append(in.Files, bundle.File{Source: path, Destination: "/etc/" + name})
	}
	return nil
}

// initPath finds the small init for --init; empty without that.
func (e *Engine) initPath(s spec.Container) (string, error) {
	if !s.Init {
		return "", nil
	}
	if s.InitPath != "" {
		return s.InitPath, nil
	}
	if path, err := e.Config.FindInitBinary(); err == nil {
		return path, nil
	}
	for _, path := range []string{"/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/lib/podman/catatonit"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", &missing{program: "catatonit", err: errors.New("--init: catatonit is not installed")}
}

// missing is a program that is not installed.
type missing struct {
	program string
	err     error
}

func (m *missing) Error() string { return m.err.Error() }

// Hint names the package.
func (m *missing) Hint() string { return "apt install " + m.program }

// Labels are those of SELinux for one start; both are empty where it is off.
type labels struct{ process, mount string }

// confine sets what the security modules of the kernel need to know.
func (e *Engine) confine(in *bundle.Input, mounts []spec.Mount, l labels) error {
	in.ProcessLabel, in.MountLabel = l.process, l.mount
	for _, m := range mounts {
		if m.Relabel == "" || l.mount == "" {
			continue
		}
		if err := label.Relabel(m.Source, l.mount, m.Relabel == "z"); err != nil {
			return &sourceError{m, err}
		}
	}
	asked := in.Spec.AppArmor
	if !in.Host.AppArmor || asked == "unconfined" || asked == "" && in.Spec.Privileged {
		return nil
	}
	// The runtime would say of one that is not loaded that the command was not found.
	profile, err := apparmor.CheckProfileAndLoadDefault(cmp.Or(asked, in.Config.ApparmorProfile))
	if err != nil {
		return hint.With(fmt.Errorf("--security-opt apparmor=%s: %w", cmp.Or(asked, in.Config.ApparmorProfile), err),
			"root loads a profile: apparmor_parser --replace FILE")
	}
	in.AppArmor = profile
	return nil
}

// labels tells whether SELinux is there, and containers.conf(5) does not keep it out.
func (e *Engine) labels() bool {
	return unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil && (e.Config == nil || e.Config.Containers.EnableLabeling)
}
