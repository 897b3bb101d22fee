// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/podunit/podunit/runner/spec"
)

// generator writes one pod that was made by hand.
type generator struct {
	*writer
	made *Made
	out  *corev1.Pod
	ann  map[string]string
	// names are the containers' names in the document; orig what they are called, where that is
	// not POD-NAME.
	names []string
	orig  map[string]string
	// mountOptions are options that Kubernetes lacks, by container and path.
	mountOptions map[string]map[string]string
	volumeOf     map[string]string // volumes of the document by what they are
	ulimits      []string          // of each container
}

func (g *generator) pod() *corev1.Pod {
	g.out = &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	g.ann, g.orig = map[string]string{}, map[string]string{}
	g.mountOptions, g.volumeOf = map[string]map[string]string{}, map[string]string{}
	g.naming()
	g.labels()
	g.namespaces()
	for i := range g.made.Containers {
		g.out.Spec.Containers = append(g.out.Spec.Containers, g.container(i))
	}
	g.ports()
	g.policy()
	g.groups()
	if n := len(g.ulimits); n > 0 && g.ulimits[0] != "" {
		if slices.ContainsFunc(g.ulimits, func(s string) bool { return s != g.ulimits[0] }) {
			g.note("the ulimits of the containers of %s differ, and are left out", g.out.Name)
		} else {
			g.ann[annUlimit] = g.ulimits[0]
		}
	}
	g.json(annContainers, g.orig, len(g.orig))
	g.json(annMounts, g.mountOptions, len(g.mountOptions))
	if len(g.ann) > 0 {
		g.out.Annotations = g.ann
	}
	return g.out
}

// json keeps a value in an annotation, unless it is empty.
func (g *generator) json(key string, v any, n int) {
	if n == 0 {
		return
	}
	data, err := json.Marshal(v) // maps are written in the order of their keys
	if err != nil {
		g.note("%s is left out: %v", key, err)
		return
	}
	g.ann[key] = string(data)
}

// naming finds names that Kubernetes accepts, and remembers the others.
func (g *generator) naming() {
	name := g.made.Containers[0].Spec.Name + "-pod"
	if g.made.Pod != nil {
		name = g.made.Pod.Name
	}
	g.out.Name = valid(name)
	if g.out.Name != name {
		g.ann[annName] = name
	}
	for _, c := range g.made.Containers {
		short := strings.TrimPrefix(c.Spec.Name, name+"-")
		word := valid(short)
		for i := 2; slices.Contains(g.names, word); i++ {
			word = valid(fmt.Sprintf("%s-%d", short, i))
		}
		g.names = append(g.names, word)
		if name+"-"+word != c.Spec.Name {
			g.orig[word] = c.Spec.Name
		}
	}
}

// labels of the pod, and those that its containers have in common; those of one container alone
// have no place.
func (g *generator) labels() {
	all := map[string]string{}
	add := func(m map[string]string, who string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			v := m[k]
			switch {
			case k == "PODMAN_SYSTEMD_UNIT", strings.HasPrefix(k, annUpdate), strings.HasPrefix(k, "io.kubernetes."):
			case !labelKey(k) || !labelValue(v):
				g.note("the label %s of %s is left out: Kubernetes does not allow it", k, who)
			case all[k] != "" && all[k] != v:
				g.note("the label %s of %s is left out: another container has another value", k, who)
			default:
				all[k] = v
			}
		}
	}
	if g.made.Pod != nil {
		add(g.made.Pod.Labels, "pod "+g.made.Pod.Name)
	}
	for _, c := range g.made.Containers {
		own := maps.Clone(c.Spec.Labels)
		for k, v := range c.Image.Labels {
			if own[k] == v {
				delete(own, k)
			}
		}
		add(own, "container "+c.Spec.Name)
	}
	if all["app"] == "" {
		all["app"] = g.out.Name
	}
	g.out.Labels = all
}

// labelKey and labelValue are what Kubernetes allows.
func labelKey(s string) bool {
	prefix, name, found := strings.Cut(s, "/")
	if !found {
		name = s
	} else if prefix == "" || subdomain(prefix) != "" {
		return false
	}
	return name != "" && labelValue(name)
}

func labelValue(s string) bool {
	if len(s) > 63 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || i == len(s)-1 || (c != '-' && c != '_' && c != '.')) {
			return false
		}
	}
	return true
}

// networking is that of the pod, or of the first container without one.
func (g *generator) networking() (spec.Networking, spec.IDMapping) {
	if p := g.made.Pod; p != nil {
		return p.Networking, p.IDMapping
	}
	c := &g.made.Containers[0].Spec
	return c.Networking, c.IDMapping
}

func (g *generator) namespaces() {
	s := &g.out.Spec
	net, ids := g.networking()
	if host := len(net.Networks) == 1 && net.Networks[0].Mode == spec.NetHost; host {
		s.HostNetwork = true
	} else if len(net.Networks) > 0 {
		var words []string
		for _, n := range net.Networks {
			words = append(words, networkWord(n))
		}
		g.json(annNetworks, words, len(words))
	}
	if net.Hostname != "" && net.Hostname != g.out.Name {
		if dnsLabel(net.Hostname) == "" {
			s.Hostname = net.Hostname
		} else if len(net.Hostname) <= 64 && subdomain(net.Hostname) == "" && !s.HostNetwork {
			s.HostnameOverride = &net.Hostname
		} else {
			g.note("the host name %s is left out: Kubernetes does not allow it", net.Hostname)
		}
	}
	var dns corev1.PodDNSConfig
	if !slices.Contains(net.DNS, "none") {
		dns.Nameservers = net.DNS
	} else {
		g.note("--dns none is left out")
	}
	dns.Searches = net.DNSSearch
	for _, o := range net.DNSOptions {
		name, v, found := strings.Cut(o, ":")
		opt := corev1.PodDNSConfigOption{Name: name}
		if found {
			opt.Value = &v
		}
		dns.Options = append(dns.Options, opt)
	}
	if len(dns.Nameservers)+len(dns.Searches)+len(dns.Options) > 0 {
		s.DNSConfig = &dns
	}
	for _, h := range net.AddHosts {
		if h.Gateway {
			g.note("the host name %s is left out: Kubernetes has no word for the address of the machine", strings.Join(h.Names, ", "))
			continue
		}
		s.HostAliases = append(s.HostAliases, corev1.HostAlias{IP: h.IP.String(), Hostnames: h.Names})
	}
	if ids.UserNS.Mode != "" {
		g.ann[annUserNS] = ids.UserNS.String()
	}
	if ids.Explicit() {
		g.note("the ID mapping of %s is left out", g.out.Name)
	}
	pid := g.made.Containers[0].Spec.PIDNS.Mode
	if p := g.made.Pod; p != nil {
		pid = p.PIDNS.Mode
		if slices.Contains(p.Share, "pid") {
			yes := true
			s.ShareProcessNamespace = &yes
		}
		for name, v := range p.Sysctls {
			g.sysctl(name, v)
		}
		g.podLimits(&p.Limits)
	}
	s.HostPID = pid == "host" && s.ShareProcessNamespace == nil
	s.HostIPC = slices.ContainsFunc(g.made.Containers, func(c MadeContainer) bool { return c.Spec.IPCNS.Mode == "host" })
}

// podLimits are those of the pod, for all its containers together.
func (g *generator) podLimits(l *spec.Limits) {
	if r := amounts(l); len(r.Limits)+len(r.Requests) > 0 {
		g.out.Spec.Resources = &r
	}
	for _, left := range []struct {
		flag  string
		asked bool
	}{
		{"memory-swap", l.MemorySwap != nil}, {"cpuset-cpus", l.CpusetCPUs != ""}, {"cpuset-mems", l.CpusetMems != ""}, {"blkio-weight", l.BlkioWeight != nil},
		{"blkio-weight-device", l.BlkioWeightDevice != nil}, {"device-read-bps", l.DeviceReadBPS != nil}, {"device-write-bps", l.DeviceWriteBPS != nil},
	} {
		if left.asked {
			g.note("--%s of pod %s: Kubernetes has nothing like it, and it is left out", left.flag, g.out.Name)
		}
	}
}

func (g *generator) podSecurity() *corev1.PodSecurityContext {
	if g.out.Spec.SecurityContext == nil {
		g.out.Spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	return g.out.Spec.SecurityContext
}

func (g *generator) sysctl(name, value string) {
	if g.out.Spec.HostNetwork && strings.HasPrefix(name, "net.") {
		g.note("the sysctl %s is left out: the network is the machine's", name)
		return
	}
	s := g.podSecurity()
	if !slices.ContainsFunc(s.Sysctls, func(c corev1.Sysctl) bool { return c.Name == name }) {
		s.Sysctls = append(s.Sysctls, corev1.Sysctl{Name: name, Value: value})
	}
	slices.SortFunc(s.Sysctls, func(a, b corev1.Sysctl) int { return cmp.Compare(a.Name, b.Name) })
}

// ports publishes those of the pod in its first container, which is as good as any.
func (g *generator) ports() {
	net, _ := g.networking()
	ports := net.Publish
	for _, m := range g.made.Containers {
		if len(m.Ports) > 0 {
			ports = m.Ports
			break
		}
	}
	for _, m := range ports {
		foldPort(&g.out.Spec, m)
	}
	for i := range g.out.Spec.Containers[0].Ports {
		if cp := &g.out.Spec.Containers[0].Ports[i]; g.out.Spec.HostNetwork {
			cp.HostPort = cp.ContainerPort
		}
	}
}

// policy writes restart policies and the time to stop, which is the longest of all containers.
func (g *generator) policy() {
	policies := make([]corev1.RestartPolicy, len(g.made.Containers))
	for i, c := range g.made.Containers {
		policies[i] = corev1.RestartPolicyNever
		switch c.Spec.Restart.Policy {
		case "always", "unless-stopped":
			policies[i] = corev1.RestartPolicyAlways
		case "on-failure":
			policies[i] = corev1.RestartPolicyOnFailure
		}
		if t := c.Spec.StopTimeout; t != nil {
			n := int64((*t + time.Second - 1) / time.Second)
			if old := g.out.Spec.TerminationGracePeriodSeconds; old == nil || *old < n {
				g.out.Spec.TerminationGracePeriodSeconds = &n
			}
		}
	}
	g.out.Spec.RestartPolicy = policies[0]
	for i, policy := range policies {
		if policy != policies[0] {
			own := corev1.ContainerRestartPolicy(policy)
			g.out.Spec.Containers[i].RestartPolicy = &own
		}
	}
}
