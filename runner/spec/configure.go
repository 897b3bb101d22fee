// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"go.podman.io/common/pkg/config"
)

// Configured is Defaults as containers.conf(5) changes them: what holds until somebody says
// otherwise. conf may be nil.
func Configured(conf *config.Config) Container {
	c := Defaults()
	if conf == nil {
		return c
	}
	c.ReadOnly, c.Init, c.Privileged = conf.Containers.ReadOnly, conf.Containers.Init, conf.Containers.Privileged
	c.NoHosts = conf.Containers.NoHosts
	if conf.Engine.PullPolicy != "" {
		c.Pull.Policy = conf.Engine.PullPolicy
	}
	c.Pull.Retry = conf.Engine.Retry
	if d, err := ParseDuration(conf.Engine.RetryDelay); err == nil && conf.Engine.RetryDelay != "" {
		c.Pull.RetryDelay = &d
	}
	return c
}

// PodConfigured is PodDefaults as containers.conf(5) changes them. conf may be nil.
func PodConfigured(conf *config.Config) Pod {
	p := PodDefaults()
	if conf != nil && conf.Engine.PodExitPolicy != "" {
		p.ExitPolicy = string(conf.Engine.PodExitPolicy)
	}
	return p
}

// userNSVariable is how a person says --userns for all containers. Source: podman-run(1),
// --userns.
const userNSVariable = "PODMAN_USERNS"

// Complete fills in what nobody has said and containers.conf(5) says, or the environment:
// namespaces, the user namespace, mounts, the host name, the log. What was said is stronger, as
// is the pod of a container. conf may be nil. Image volumes and what else belongs to the moment
// of a start is left to the packages that act.
func (c *Container) Complete(conf *config.Config, environ []string) error {
	var faults Faults
	if c.Pod == "" {
		faults = append(faults, c.IDMapping.complete(conf, environ)...)
	}
	if conf == nil {
		return faults.err()
	}
	cc := &conf.Containers
	if cc.NoHosts && (c.Pod != "" || len(c.AddHosts) > 0) {
		c.NoHosts = false // the pod has the file, or an entry was asked for
	}
	for _, ns := range []struct {
		key, value string
		to         *Namespace
		modes      []string
		pods       bool // the pod may share it
	}{
		{"pidns", cc.PidNS, &c.PIDNS, []string{"private", "host"}, true},
		{"utsns", cc.UTSNS, &c.UTSNS, []string{"private", "host"}, true},
		{"ipcns", cc.IPCNS, &c.IPCNS, []string{"private", "shareable", "none", "host"}, true},
		{"cgroupns", cc.CgroupNS, &c.CgroupNS, []string{"private", "host"}, false},
	} {
		if ns.to.Mode != "" || ns.value == "" || ns.pods && c.Pod != "" || ns.to == &c.UTSNS && c.Hostname != "" {
			continue
		}
		n, err := ParseNamespace(ns.value, ns.modes...)
		switch {
		case err != nil:
			faults = append(faults, confFault(ns.key, ns.value, err))
		case n.Mode != "private" && n.Mode != "shareable": // what there is anyway
			*ns.to = n
		}
	}
	var err error
	if c.Publish, err = OnDefaultHosts(c.Publish, conf); err != nil {
		faults = append(faults, err)
	}
	if c.Pod == "" {
		if err := c.completeNetwork(cc.NetNS); err != nil {
			faults = append(faults, confFault("netns", cc.NetNS, err))
		}
		if cc.ContainerNameAsHostName && c.Hostname == "" && (c.UTSNS.Mode == "" || c.UTSNS.Mode == "private") {
			c.Hostname = hostname(c.Name)
		}
	}
	faults = append(faults, c.completeMounts(cc)...)
	if c.Log.Driver == "" {
		switch cc.LogDriver {
		case "none", "passthrough", "passthrough-tty", LogFile:
			c.Log.Driver = cc.LogDriver
		case "json-file":
			c.Log.Driver = LogFile
		}
	}
	if c.Log.Driver == LogFile && c.Log.MaxSize == 0 && cc.LogSizeMax > 0 {
		c.Log.MaxSize = cc.LogSizeMax
	}
	if c.Cgroups == "" && cc.Cgroups == "disabled" { // the other modes are what there is anyway
		c.Cgroups = cc.Cgroups
	}
	if c.Log.Tag == "" {
		c.Log.Tag = cc.LogTag
		if err := c.Log.tryTag(); err != nil {
			faults = append(faults, confFault("log_tag", cc.LogTag, err))
		}
	}
	if c.ImageVolumes == "" && conf.Engine.ImageVolumeMode != "anonymous" {
		c.ImageVolumes = conf.Engine.ImageVolumeMode
	}
	return faults.err()
}

// Complete fills in what nobody has said of a pod, as the one of Container does.
func (p *Pod) Complete(conf *config.Config, environ []string) error {
	if !p.Infra {
		return nil // it has no namespaces of its own
	}
	faults := p.IDMapping.complete(conf, environ)
	if conf != nil && conf.Containers.NoHosts && len(p.AddHosts) == 0 {
		p.NoHosts = true
	}
	var err error
	if p.Publish, err = OnDefaultHosts(p.Publish, conf); err != nil {
		faults = append(faults, err)
	}
	if conf != nil && len(p.Networks) == 0 && slices.Contains(p.Share, "net") {
		n, err := confNetwork(conf.Containers.NetNS)
		if err != nil {
			faults = append(faults, confFault("netns", conf.Containers.NetNS, err))
		} else if n != nil {
			p.Networks = []Network{*n}
		}
	}
	return faults.err()
}

func (m *IDMapping) complete(conf *config.Config, environ []string) Faults {
	if m.Said() {
		return nil
	}
	if v, ok := lookup(environ, userNSVariable); ok && v != "" {
		u, err := ParseUserNS(v)
		if err != nil {
			return Faults{fmt.Errorf("the variable %s=%s: %w", userNSVariable, v, err)}
		}
		m.UserNS = u
		return nil
	}
	if conf == nil || conf.Containers.UserNS == "" {
		return nil
	}
	u, err := ParseUserNS(conf.Containers.UserNS)
	if err != nil {
		return Faults{confFault("userns", conf.Containers.UserNS, err)}
	}
	m.UserNS = u
	return nil
}

func (c *Container) completeNetwork(netns string) error {
	if len(c.Networks) > 0 {
		return nil
	}
	n, err := confNetwork(netns)
	if err == nil && n != nil {
		c.Networks = []Network{*n}
	}
	return err
}

// confNetwork reads netns; nil is what there is anyway.
func confNetwork(netns string) (*Network, error) {
	if netns == "" {
		return nil, nil
	}
	n, err := ParseNetwork(netns)
	switch {
	case err != nil:
		return nil, err
	case n.Mode == NetPrivate:
		return nil, nil
	}
	return &n, nil
}

// OnDefaultHosts binds ports for which nobody names an address of the machine to those of
// default_host_ips in containers.conf(5): one mapping for each. conf may be nil.
func OnDefaultHosts(ports []PortMapping, conf *config.Config) ([]PortMapping, error) {
	if conf == nil || len(conf.Network.DefaultHostIPs.Get()) == 0 {
		return ports, nil
	}
	var out []PortMapping
	for _, p := range ports {
		if p.HostIP.IsValid() {
			out = append(out, p)
			continue
		}
		for _, text := range conf.Network.DefaultHostIPs.Get() {
			ip, err := netip.ParseAddr(text)
			if err != nil {
				return nil, confFault("default_host_ips", text, err)
			}
			p.HostIP = ip
			out = append(out, p)
		}
	}
	return out, nil
}

// completeMounts adds volumes and mounts; one that was asked for at the same place wins.
func (c *Container) completeMounts(cc *config.ContainersConfig) Faults {
	var faults Faults
	said := len(c.Mounts)
	add := func(key, value string, m Mount, err error) {
		if err != nil {
			faults = append(faults, confFault(key, value, err))
			return
		}
		if !slices.ContainsFunc(c.Mounts[:said], func(o Mount) bool { return o.Destination == m.Destination && m.Destination != "" }) {
			c.Mounts = append(c.Mounts, m)
		}
	}
	for _, v := range cc.Volumes.Get() {
		m, err := ParseVolume(v, "/")
		add("volumes", v, m, err)
	}
	for _, v := range cc.Mounts.Get() {
		m, err := ParseMount(v, "/")
		add("mounts", v, m, err)
	}
	return faults
}

// confFault says that a value of containers.conf is at fault, and not the command line.
func confFault(key, value string, err error) error {
	return fmt.Errorf("%s = %q of containers.conf: %w", key, value, err)
}

// CheckHostname is an error if a name cannot be that of a machine. Source: gethostname(2),
// HOST_NAME_MAX.
func CheckHostname(name string) error {
	unfit := func(r rune) bool { return r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) }
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, unfit) {
		return errors.New("it has 1 to 64 characters and no white space")
	}
	return nil
}

// hostname is a name with only what a host name may have, or empty if nothing is left. Source:
// containers.conf(5), container_name_as_hostname; the kernel takes 64 bytes.
func hostname(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
			return r
		}
		return -1
	}, name)
	return strings.Trim(s[:min(len(s), 63)], "-.")
}
