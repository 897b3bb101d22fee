// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
)

// namespaces lists the namespaces to make or to join; what is not in the list
// stays as this process has it.
func (b *builder) namespaces() error {
	l := b.g.Config.Linux
	if b.nested() {
		l.Namespaces = append(l.Namespaces, rspec.LinuxNamespace{Type: rspec.UserNamespace, Path: b.Namespaces.User})
		l.UIDMappings, l.GIDMappings = mappings(b.UIDMap), mappings(b.GIDMap)
	}
	l.Namespaces = append(l.Namespaces, rspec.LinuxNamespace{Type: rspec.MountNamespace})
	for _, ns := range []struct {
		kind rspec.LinuxNamespaceType
		from string
	}{
		{rspec.PIDNamespace, b.Namespaces.PID}, {rspec.IPCNamespace, b.Namespaces.IPC}, {rspec.UTSNamespace, b.Namespaces.UTS},
		{rspec.NetworkNamespace, b.Namespaces.Net}, {rspec.CgroupNamespace, b.Namespaces.Cgroup},
	} {
		switch ns.from {
		case HostNS:
		case Private:
			l.Namespaces = append(l.Namespaces, rspec.LinuxNamespace{Type: ns.kind})
		default:
			if !strings.HasPrefix(ns.from, "/") {
				return fmt.Errorf("%s: %q is no path", ns.kind, ns.from)
			}
			l.Namespaces = append(l.Namespaces, rspec.LinuxNamespace{Type: ns.kind, Path: ns.from})
		}
	}
	return nil
}

func mappings(m []spec.IDRange) []rspec.LinuxIDMapping {
	var out []rspec.LinuxIDMapping
	for _, r := range m {
		out = append(out, rspec.LinuxIDMapping{ContainerID: r.Container, HostID: r.Host, Size: r.Size})
	}
	return out
}

// ownNet reports whether the network namespace was made for this container
// alone, by us: then its kernel parameters are the container's to set.
func (b *builder) ownNet() bool {
	if b.Namespaces.Net == HostNS || b.Spec.Pod != "" {
		return false
	}
	for _, n := range b.Spec.Networks {
		if n.Mode == spec.NetContainer || n.Mode == spec.NetNS || n.Mode == spec.NetPod {
			return false
		}
	}
	return true
}

// controlsNet reports whether the user namespace the container will be in owns
// its network namespace, without which the kernel gives it no sysfs of its own.
func (b *builder) controlsNet() bool {
	if !b.Rootless && !b.nested() {
		return true
	}
	if b.Namespaces.Net == Private {
		return true
	}
	if b.nested() || b.Namespaces.Net == HostNS {
		return false
	}
	for _, n := range b.Spec.Networks {
		if n.Mode == spec.NetNS {
			return false // it may be anybody's
		}
	}
	return true
}

// controlsPID is the same for the process namespace and procfs. A user namespace of somebody else's
// goes only with a process namespace that it owns.
func (b *builder) controlsPID() bool {
	if !b.Rootless && !b.nested() {
		return true
	}
	if b.nested() && b.Namespaces.User != Private {
		return b.Namespaces.PID != HostNS // whose it is was asked before
	}
	return b.Namespaces.PID == Private || !b.nested() && b.Namespaces.PID != HostNS && b.Spec.PIDNS.Mode != "ns"
}

// controlsIPC is the same for the IPC namespace and mqueue.
func (b *builder) controlsIPC() bool {
	if !b.Rootless && !b.nested() {
		return true
	}
	return b.Namespaces.IPC == Private || !b.nested() && b.Namespaces.IPC != HostNS && b.Spec.IPCNS.Mode != "ns"
}

// sysctls sets kernel parameters. Those asked for must belong to a namespace
// that is not the host's; those of containers.conf are left out where they
// don't fit. Those of NetSysctls are left to the caller.
func (b *builder) sysctls() error {
	set := map[string]string{}
	for _, kv := range b.Config.DefaultSysctls.Get() {
		name, value := cut(kv)
		name = strings.ReplaceAll(strings.TrimSpace(name), "/", ".")
		ok := b.sysctlHost(name) == ""
		if strings.HasPrefix(name, "net.") {
			ok = b.ownNet() && b.controlsNet()
		}
		if ok {
			set[name] = strings.TrimSpace(value)
		}
	}
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(b.Spec.Sysctls)) {
		if why := b.sysctlHost(name); why != "" {
			faults = append(faults, fmt.Sprintf("--sysctl %s: %s", name, why))
		}
		if !b.setsItself(name) {
			set[name] = b.Spec.Sysctls[name]
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s", strings.Join(faults, "; "))
	}
	if len(set) > 0 {
		b.g.Config.Linux.Sysctl = set
	}
	return nil
}

// NetSysctls are those of the kernel parameters asked for that the caller is to set in a network
// namespace that is there before the container, once the network works. The runtime sets parameters
// earlier, when there may be no interfaces yet, and from inside the container's user namespace, which
// has no power over that network namespace unless it is our own.
func (in *Input) NetSysctls() map[string]string {
	out := map[string]string{}
	for name, value := range in.Spec.Sysctls {
		if in.setsItself(name) {
			out[name] = value
		}
	}
	return out
}

// setsItself reports whether a kernel parameter is one of NetSysctls.
func (in *Input) setsItself(name string) bool {
	return strings.HasPrefix(name, "net.") && strings.HasPrefix(in.Namespaces.Net, "/")
}

// sysctlHost says why a parameter is the host's, or nothing if the container
// can have its own. Source: namespaces(7), sysctl(8).
func (b *builder) sysctlHost(name string) string {
	switch {
	case strings.HasPrefix(name, "net."):
		if b.Namespaces.Net == HostNS {
			return "the container shares the host's network, so the host sets it"
		}
	case strings.HasPrefix(name, "fs.mqueue."), name == "kernel.msgmax", name == "kernel.msgmnb", name == "kernel.msgmni",
		name == "kernel.sem", name == "kernel.shmall", name == "kernel.shmmax", name == "kernel.shmmni", name == "kernel.shm_rmid_forced":
		if b.Namespaces.IPC == HostNS {
			return "the container shares the host's IPC, so the host sets it"
		}
	case name == "kernel.domainname":
		if b.Namespaces.UTS == HostNS {
			return "the container shares the host's name, so the host sets it"
		}
	case name == "kernel.hostname":
		return "set it with --hostname"
	case strings.HasPrefix(name, "user."):
		if !b.nested() {
			return "it belongs to a user namespace, and the container has none of its own"
		}
	default:
		return "it belongs to no namespace, so it is the whole machine's; set it in sysctl.d(5)"
	}
	return ""
}
