// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Check finds what contradicts itself in a container. The words of
// each value are judged before, by the functions that parse them. The error is Faults,
// everything that is wrong; what has no effect is added to Warnings.
func (c *Container) Check() error {
	var faults Faults
	add := func(format string, a ...any) { faults = append(faults, misuse(format, a...)) }
	if c.Image == "" && c.Rootfs == nil {
		add("the image is missing: run [flags] IMAGE [COMMAND...], such as run --rm docker.io/library/busybox date")
	}
	if c.Remove && c.Restart.Policy != "" && c.Restart.Policy != "no" {
		add("--rm and --restart %s exclude each other: a container that is started again cannot be removed at its end; leave one out", c.Restart.Policy)
	}
	if c.Replace && c.Name == "" {
		add("--replace needs --name: it removes the container of that name first")
	}
	c.checkUser(add)
	c.checkPod(add)
	if m := c.UTSNS.Mode; c.Hostname != "" && (m == "host" || m == "container" || m == "ns") {
		add("--hostname needs a UTS namespace of the container's own, and --uts %s is somebody else's; leave one out", m)
	}
	if c.HostUlimits && len(c.Ulimits) > 0 {
		add("--ulimit host takes all limits over, it does not go together with single limits")
	}
	if c.Interactive && c.Detach && !c.TTY {
		// Standard input of a container without attachment is empty; podman
		// keeps it open for a later attach, which does not exist here.
		c.warn("--interactive has no effect with --detach: nobody can attach later")
	}
	if l := c.Log; l.Driver != LogFile && (l.Path != "" || l.MaxSize != 0 || l.MaxFiles != 0) {
		c.warn("--log-opt path, max-size and max-file have no effect without --log-driver %s", LogFile)
	} else if l.MaxFiles > 1 && l.MaxSize == 0 {
		c.warn("--log-opt max-file has no effect without max-size: the first file is never full")
	}
	c.checkAttach(add)
	c.Networking.check(add, c.warn)
	c.Limits.check(add)
	checkMounts(c.Mounts, add)
	checkSecrets(c.Secrets, c.Mounts, add)
	c.checkHealth(add)
	return faults.err()
}

// checkAttach refuses what a container in the foreground cannot have: it has stdout and stderr of
// ours, and stdin with --interactive.
func (c *Container) checkAttach(add func(string, ...any)) {
	has := func(stream string) bool { return slices.Contains(c.Attach, stream) }
	switch {
	case len(c.Attach) == 0:
	case c.Detach:
		add("--attach and --detach exclude each other; leave one out")
	case !has("stdout") || !has("stderr"):
		add("--attach %s: a container in the foreground has stdout and stderr; name both, and lead one away with >/dev/null or 2>/dev/null", strings.Join(c.Attach, ", "))
	case has("stdin") && !c.Interactive:
		add("--attach stdin needs --interactive, which passes it on")
	case c.Interactive && !has("stdin"):
		add("--interactive passes stdin on; name it with --attach, too")
	}
}

// warn notes once what has no effect.
func (c *Container) warn(format string, a ...any) { c.Warnings = warned(c.Warnings, format, a...) }

func (p *Pod) warn(format string, a ...any) { p.Warnings = warned(p.Warnings, format, a...) }

func warned(list []string, format string, a ...any) []string {
	w := fmt.Sprintf(format, a...)
	if slices.Contains(list, w) {
		return list
	}
	return append(list, w)
}

func (m *IDMapping) check(add func(string, ...any)) {
	maps, names := len(m.UIDMap) > 0 || len(m.GIDMap) > 0, m.SubUIDName != "" || m.SubGIDName != ""
	if m.UserNS.Mode != "" && maps {
		add("--userns and --uidmap or --gidmap exclude each other")
	}
	if m.UserNS.Mode != "" && names {
		add("--userns and --subuidname or --subgidname exclude each other")
	}
	if maps && names {
		add("--subuidname and --subgidname stand for --uidmap and --gidmap; leave one out")
	}
}

func (c *Container) checkUser(add func(string, ...any)) {
	c.IDMapping.check(add)
	if c.KeepGroups && len(c.Groups) > 0 {
		add("--group-add keep-groups keeps the groups of the runner as they are, it does not go together with single groups")
	}
}

// checkPod finds what a container in a pod asks for although it is the pod's.
func (c *Container) checkPod(add func(string, ...any)) {
	if c.Pod == "" {
		return
	}
	for _, f := range []struct {
		asked bool
		name  string
	}{
		{len(c.Publish) > 0, "publish"}, {c.PublishAll, "publish-all"}, {c.UserNS.Mode != "", "userns"}, {len(c.UIDMap) > 0, "uidmap"},
		{len(c.GIDMap) > 0, "gidmap"}, {c.SubUIDName != "", "subuidname"}, {c.SubGIDName != "", "subgidname"}, {len(c.AddHosts) > 0, "add-host"}, {len(c.DNS) > 0, "dns"}, {len(c.DNSOptions) > 0, "dns-option"},
		{len(c.DNSSearch) > 0, "dns-search"}, {c.NoHosts, "no-hosts"},
	} {
		if f.asked {
			add("--%s belongs to the pod, not to a container in it: give it to pod create", f.name)
		}
	}
	for _, n := range c.Networks {
		if n.Mode != NetPod {
			add("--network %s: the network belongs to the pod, not to a container in it: give it to pod create", n.Mode)
		}
	}
}

// Check finds what contradicts itself in a pod. The error is Faults, everything that is wrong;
// what has no effect is added to Warnings.
func (p *Pod) Check() error {
	var faults Faults
	add := func(format string, a ...any) { faults = append(faults, misuse(format, a...)) }
	if p.Replace && p.Name == "" {
		add("--replace needs --name: it removes the pod of that name first")
	}
	p.IDMapping.check(add)
	if err := p.UserNS.ForPod(); err != nil {
		add("%v", err)
	}
	p.Limits.check(add)
	if !p.Infra {
		if len(p.Share) > 0 {
			add("--infra=false and --share exclude each other: the infra process holds the shared namespaces")
		}
		for _, f := range []struct {
			asked bool
			name  string
		}{
			{len(p.Publish) > 0, "publish"}, {len(p.Networks) > 0, "network"}, {p.InfraName != "", "infra-name"},
			{p.MainPIDFile != "", "infra-conmon-pidfile"}, {len(p.AddHosts) > 0, "add-host"}, {len(p.DNS) > 0, "dns"},
			{p.Hostname != "", "hostname"},
		} {
			if f.asked {
				add("--infra=false and --%s exclude each other", f.name)
			}
		}
	}
	if p.HostsFile == "image" {
		add("--hosts-file image: a pod has no image; name a file, or leave it out")
	}
	p.Networking.check(add, p.warn)
	checkMounts(p.Mounts, add)
	return faults.err()
}

func (n *Networking) check(add, warn func(string, ...any)) {
	for _, one := range n.Networks {
		if one.Notice != "" {
			warn("%s", one.Notice)
		}
	}
	sctp := func(p PortMapping) bool { return p.Protocol == "sctp" }
	if slices.ContainsFunc(n.Publish, sctp) && n.Publishes() && !n.Named() {
		add("--publish with sctp needs a named network of root's, such as --network podman: pasta forwards tcp and udp only")
	}
	if i := slices.IndexFunc(n.Networks, func(one Network) bool { return !one.IsNamed() }); i >= 0 && len(n.Networks) > 1 {
		other := n.Networks[(i+1)%len(n.Networks)]
		add("--network is given %d times with modes that cannot be joined: %s and %s", len(n.Networks), n.Networks[i].Mode, cmp.Or(other.Name, other.Mode))
	}
	for _, f := range []struct {
		asked bool
		name  string
	}{{n.IP.IsValid(), "ip"}, {n.IP6.IsValid(), "ip6"}, {n.MAC != nil, "mac-address"}, {len(n.Aliases) > 0, "network-alias"}} {
		switch {
		case f.asked && !n.Named():
			add("--%s needs a named network: --network NAME, or --network bridge for the default one", f.name)
		case f.asked && len(n.Networks) > 1 && f.name != "network-alias":
			add("--%s is for one network, and there are %d: write --network NAME:ip=IP,ip6=IP,mac=MAC", f.name, len(n.Networks))
		}
	}
	if (len(n.Publish) > 0 || n.PublishAll) && !n.Publishes() {
		warn("published ports have no effect with --network %s", n.Networks[0].Mode)
	}
	if n.NoHosts && len(n.AddHosts) > 0 {
		add("--no-hosts and --add-host exclude each other")
	}
	if slices.Contains(n.DNS, "none") && (len(n.DNS) > 1 || len(n.DNSSearch) > 0 || len(n.DNSOptions) > 0) {
		add("--dns none leaves /etc/resolv.conf alone, it does not go together with other DNS flags")
	}
	type end struct {
		ip, proto string
		port      int
	}
	taken := map[end]string{}
	for _, m := range n.Publish {
		if m.HostPort == 0 {
			continue
		}
		ip := ""
		if m.HostIP.IsValid() && !m.HostIP.IsUnspecified() {
			ip = m.HostIP.String()
		}
		for i := range int(m.Range) {
			e := end{ip, m.Protocol, int(m.HostPort) + i}
			if other, double := taken[e]; double && other != m.String() {
				add("--publish: host port %d/%s is given twice, by %s and by %s", e.port, e.proto, other, m)
				break
			}
			taken[e] = m.String()
		}
	}
}

func (l *Limits) check(add func(string, ...any)) {
	if l.CPUs != nil && (l.CPUQuota != nil || l.CPUPeriod != nil) {
		add("--cpus and --cpu-quota or --cpu-period exclude each other: --cpus is a short form of both")
	}
	if l.MemorySwap != nil && *l.MemorySwap != -1 {
		switch {
		case l.Memory == nil:
			add("--memory-swap needs --memory")
		case *l.MemorySwap < *l.Memory:
			add("--memory-swap %d is memory and swap together, it cannot be less than --memory %d", *l.MemorySwap, *l.Memory)
		}
	}
	if l.MemoryReservation != nil && l.Memory != nil && *l.MemoryReservation > *l.Memory {
		add("--memory-reservation %d is a softer limit, it cannot be more than --memory %d", *l.MemoryReservation, *l.Memory)
	}
}

// checkMounts finds two different mounts at one place. The same mount twice is no fault: see
// Mounts.
func checkMounts(mounts []Mount, add func(string, ...any)) {
	taken := map[string]Mount{}
	for _, m := range mounts {
		if m.Destination == "" {
			continue // a glob in place
		}
		if other, double := taken[m.Destination]; double && !other.equal(m) {
			add("%s is mounted on twice: %s and %s", m.Destination, other, m)
		}
		taken[m.Destination] = m
	}
}
