// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/podunit/podunit/runner/spec"
)

// defaultGrace is what Kubernetes gives a container between its stop signal and KILL.
const defaultGrace = 30 * time.Second

// pod fills a pod from its spec.
func (p *planner) pod(d *draft) {
	s := d.spec
	d.annotations = map[string]string{}
	maps.Copy(d.annotations, d.o.value.GetAnnotations())
	maps.Copy(d.annotations, d.meta.Annotations)
	for k, v := range p.Options.Annotations {
		d.annotations[k] = v
	}
	d.Annotations = d.annotations
	d.Unit = d.Name + "-pod.service"
	d.Spec = spec.PodDefaults()
	d.Spec.Name, d.Spec.InfraName, d.Spec.ExitPolicy = d.Name, cmp.Or(d.annotations[annInfraName], d.Name+"-infra"), "stop"
	maps.Copy(d.Spec.Labels, d.meta.Labels)
	if p.SystemdUnit != "" {
		d.Spec.Labels["PODMAN_SYSTEMD_UNIT"] = p.SystemdUnit
	}
	p.labels(d)
	p.own(d)
	s.RestartPolicy = corev1.RestartPolicy(d.at.in("restartPolicy").spelled(string(s.RestartPolicy), "Always", "OnFailure", "Never"))
	d.Restart = cmp.Or(string(s.RestartPolicy), "Always")
	d.Grace = seconds(d.at.in("terminationGracePeriodSeconds"), s.TerminationGracePeriodSeconds, defaultGrace, 0)
	d.Deadline = seconds(d.at.in("activeDeadlineSeconds"), s.ActiveDeadlineSeconds, 0, 1)
	if s.OS != nil && d.at.in("os", "name").oneOf(string(s.OS.Name), "linux", "windows") && s.OS.Name == corev1.Windows {
		d.at.in("os", "name").fault("kube-refused", "", "there are no Windows containers here")
	}
	if s.RuntimeClassName != nil {
		d.Runtime = *s.RuntimeClassName
	}
	for _, ref := range s.ImagePullSecrets {
		d.PullSecrets = append(d.PullSecrets, ref.Name)
	}
	p.namespaces(d)
	p.hostname(d)
	p.dns(d)
	p.podSecurity(d)
	if s.Resources != nil {
		d.Limits = p.resources(*s.Resources, d.at.in("resources"), nil)
	}
	p.volumes(d)
	p.containers(d)
	p.podAnnotations(d)
	p.mountAnnotation(d)
}

func (p *planner) labels(d *draft) {
	at := d.at
	at.path = at.path[:len(at.path)-1].With("metadata", "labels")
	for _, k := range slices.Sorted(maps.Keys(d.meta.Labels)) {
		if v := d.meta.Labels[k]; len(v) > 63 {
			at.in(k).note("kube-label", "", "Kubernetes refuses the label: its value has %d characters, and may have 63", len(v))
		}
	}
}

// namespaces decides what the pod shares, and with whom.
func (p *planner) namespaces(d *draft) {
	s := d.spec
	share := []string{"ipc", "net", "uts"}
	drop := func(name string) { share = slices.DeleteFunc(share, func(s string) bool { return s == name }) }
	if s.ShareProcessNamespace != nil && *s.ShareProcessNamespace {
		share = append(share, "pid")
		if s.HostPID {
			d.at.in("shareProcessNamespace").fault("kube-conflict", "leave out one of them", "it does not go together with hostPID")
		}
	}
	if s.HostPID {
		d.Spec.PIDNS = spec.Namespace{Mode: "host"}
	}
	if s.HostIPC {
		drop("ipc")
	}
	networks := p.Networks
	if len(networks) == 0 {
		networks = p.networkAnnotation(d)
	}
	d.hostNetwork = s.HostNetwork && len(networks) == 0
	switch {
	case len(networks) > 0:
		d.Spec.Networks = networks
		d.hostNetwork = slices.ContainsFunc(networks, func(n spec.Network) bool { return n.Mode == spec.NetHost })
	case s.HostNetwork:
		d.Spec.Networks = []spec.Network{{Mode: spec.NetHost}}
	default:
		d.Network.Default = true
	}
	if s.HostNetwork && d.hostNetwork {
		drop("uts")
		d.Spec.UTSNS = spec.Namespace{Mode: "host"}
	}
	d.Spec.Share = share
	d.Spec.UserNS = p.UserNS
	word, said := d.annotations[annUserNS+"/"+d.Name]
	if !said {
		word, said = d.annotations[annUserNS]
	}
	switch {
	case p.UserNSAuto:
		d.UserNSAuto = true
	case p.UserNS.Mode != "":
	case said && (word == "private" || word == "auto"):
		d.UserNSAuto = true
	case said:
		u, err := spec.ParseUserNS(word)
		if err == nil {
			err = u.ForPod()
		}
		if err != nil {
			p.annotation(d, annUserNS).fault("kube-annotation", "write host, auto or keep-id[:uid=U,gid=G]", "%v", err)
		}
		d.Spec.UserNS = u
	case s.HostUsers != nil && !*s.HostUsers:
		d.UserNSAuto = true
		if s.HostNetwork || s.HostPID || s.HostIPC {
			d.at.in("hostUsers").fault("kube-conflict", "leave it out", "a user namespace of its own does not go together with namespaces of the host")
		}
	}
	if d.Spec.UserNS.Mode == spec.UserAuto { // with options
		d.UserNSAuto = true
	}
	i := len(p.plan.Pods) - 1
	if i < len(p.IPs) {
		d.Network.IP = p.IPs[i]
	}
	if i < len(p.MACs) {
		d.Network.MAC = p.MACs[i]
	}
}

// hostname decides the pod's names. Kubernetes cuts a host name at 63 characters.
func (p *planner) hostname(d *draft) {
	s := d.spec
	for _, f := range []struct{ field, value string }{{"hostname", s.Hostname}, {"subdomain", s.Subdomain}} {
		if wrong := dnsLabel(f.value); f.value != "" && wrong != "" {
			d.at.in(f.field).note("kube-name", "", "Kubernetes refuses %q: %s", f.value, wrong)
		}
	}
	d.Spec.NoHosts, d.Spec.NoHostname = p.NoHosts, p.NoHostname
	name := cmp.Or(s.Hostname, d.Name)
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-.")
	}
	if s.Subdomain != "" {
		d.Network.FQDN = name + "." + s.Subdomain + "." + d.Namespace + ".svc.cluster.local"
	}
	full := s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN
	if full && d.Network.FQDN != "" {
		if name = d.Network.FQDN; len(name) > 64 {
			d.at.in("setHostnameAsFQDN").fault("kube-name", "shorten hostname or subdomain", "the full name %s has %d characters, and may have 64", name, len(name))
		}
	}
	if s.HostnameOverride != nil && *s.HostnameOverride != "" {
		name, d.Network.FQDN = *s.HostnameOverride, ""
		if len(name) > 64 {
			d.at.in("hostnameOverride").fault("kube-name", "", "it has %d characters, and may have 64", len(name))
		}
		if s.HostNetwork || full {
			d.at.in("hostnameOverride").fault("kube-conflict", "leave out one of them", "it does not go together with hostNetwork or setHostnameAsFQDN")
		}
	}
	if d.Spec.UTSNS.Mode != "host" {
		d.Spec.Hostname = name
	}
	for i, alias := range s.HostAliases {
		at := d.at.in("hostAliases", i)
		ip, err := netip.ParseAddr(alias.IP)
		if err != nil && alias.IP != spec.HostGateway {
			at.in("ip").fault("kube-value", "", "%q is no IP address", alias.IP)
			continue
		}
		if len(alias.Hostnames) == 0 {
			continue
		}
		for k, name := range alias.Hostnames {
			if name == "" || strings.ContainsAny(name, " \t\n#") {
				at.in("hostnames", k).fault("kube-value", "", "%q is no host name", name)
			}
		}
		d.Spec.AddHosts = append(d.Spec.AddHosts, spec.HostEntry{Names: alias.Hostnames, IP: ip, Gateway: alias.IP == spec.HostGateway})
	}
	if p.NoHosts && len(s.HostAliases) > 0 {
		d.at.in("hostAliases").fault("kube-conflict", "leave out --no-hosts", "they are lines of /etc/hosts, which --no-hosts leaves alone")
	}
}

// dns decides where names are looked up.
func (p *planner) dns(d *draft) {
	s := d.spec
	at := d.at.in("dnsPolicy")
	at.oneOf(string(s.DNSPolicy), "ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
	switch s.DNSPolicy {
	case corev1.DNSDefault:
		d.Network.HostDNS = true
	case corev1.DNSNone:
		d.Network.DNSOnly = true
		if s.DNSConfig == nil || len(s.DNSConfig.Nameservers) == 0 {
			at.fault("kube-dns", "add dnsConfig: {nameservers: [ADDRESS]}", "None needs at least one name server in dnsConfig")
		}
	case corev1.DNSClusterFirst, "":
		d.Network.HostDNS = d.hostNetwork
	}
	if s.DNSConfig == nil {
		return
	}
	c, at := s.DNSConfig, d.at.in("dnsConfig")
	for i, ns := range c.Nameservers {
		if _, err := netip.ParseAddr(ns); err != nil {
			at.in("nameservers", i).fault("kube-value", "", "%q is no IP address", ns)
		}
		if !slices.Contains(d.Spec.DNS, ns) {
			d.Spec.DNS = append(d.Spec.DNS, ns)
		}
	}
	if len(d.Spec.DNS) > 3 {
		at.in("nameservers").note("kube-dns", "", "there are %d name servers; resolvers read three", len(d.Spec.DNS))
	}
	for i, domain := range c.Searches {
		if domain == "" || strings.ContainsAny(domain, " \t\n") {
			at.in("searches", i).fault("kube-value", "", "%q is no domain", domain)
		}
		if !slices.Contains(d.Spec.DNSSearch, domain) {
			d.Spec.DNSSearch = append(d.Spec.DNSSearch, domain)
		}
	}
	if len(c.Searches) > 32 {
		at.in("searches").note("kube-dns", "", "there are %d search domains; Kubernetes allows 32", len(c.Searches))
	}
	for i, opt := range c.Options {
		word := opt.Name
		if opt.Name == "" {
			at.in("options", i).fault("kube-value", "", "the option has no name")
		}
		if opt.Value != nil && *opt.Value != "" {
			word += ":" + *opt.Value
		}
		d.Spec.DNSOptions = append(d.Spec.DNSOptions, word)
	}
}

// seconds reads a number of seconds; one below least is a fault, an absent one the default.
func seconds(at place, n *int64, def time.Duration, least int64) time.Duration {
	if n == nil {
		return def
	}
	const most = 1 << 31
	if *n < least || *n > most {
		at.fault("kube-value", "", "%d is not from %d to %d seconds", *n, least, int64(most))
		return def
	}
	return time.Duration(*n) * time.Second
}
