// SPDX-License-Identifier: Apache-2.0

package network

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/etchosts"
	"go.podman.io/common/libnetwork/resolvconf"
	"go.podman.io/common/pkg/config"
)

// Hosts is what goes into a container's /etc/hosts.
type Hosts struct {
	// Base is what it starts from: a path, "image" for the image's own, or "none"; empty for
	// what containers.conf(5) says, which is the host's /etc/hosts by default.
	Base string
	// Entries are those asked for; they come first.
	Entries []spec.HostEntry
	// Names are the container's own: its host name and its name.
	Names []string
}

// givenHosts ends the name of a copy of an image's /etc/hosts, or of the file that people name,
// beside the file that is made of it.
const givenHosts = ".image"

// maxHosts is the largest /etc/hosts or resolv.conf of an image or of a container that is read, in
// bytes.
const maxHosts = 1 << 20

// base is the file that hosts start from; empty for none. The library would open an image's own, or
// one that people name, as it stands, which may be a pipe, and without a root it would take the
// host's.
func (h Hosts) base(path, rootfs string, conf *config.Config) (string, error) {
	from := cmp.Or(h.Base, conf.Containers.BaseHostsFile)
	var data []byte
	switch from {
	case "", "none":
		return etchosts.GetBaseHostFile(from, "")
	case "image":
		if rootfs == "" {
			return "", nil
		}
		var err error
		data, err = safe.ReadInRoot(rootfs, config.DefaultHostsFile, maxHosts)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil // not every image has one
		}
		if err != nil {
			return "", fmt.Errorf("of the image: %w", err)
		}
	default:
		var err error
		if data, err = safe.ReadLinked(from, maxHosts); err != nil {
			return "", err
		}
	}
	return path + givenHosts, os.WriteFile(path+givenHosts, data, 0o600)
}

// write writes a container's /etc/hosts to path. r is the network of the container, or of its
// pod; rootfs is the mounted image, or empty for a pod, which has none.
func (h Hosts) write(path string, r Result, rootfs string, conf *config.Config) error {
	base, err := h.base(path, rootfs, conf)
	if err != nil {
		return fmt.Errorf("hosts: %w", err)
	}
	if base == path+givenHosts {
		defer os.Remove(base)
	}
	p := &etchosts.Params{BaseFile: base, HostContainersInternalIP: r.Host, TargetFile: path}
	for _, e := range h.Entries {
		ip := e.IP.String()
		if e.Gateway {
			if r.Host == "" {
				return NoHostAddressError{Names: e.Names}
			}
			ip = r.Host
		}
		p.ExtraHosts = append(p.ExtraHosts, strings.Join(e.Names, ";")+":"+ip)
	}
	if len(h.Names) > 0 {
		// A container without an address resolves its own name to the address at which its programs
		// find each other as localhost.
		ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if len(r.IPs) > 0 {
			ip = r.IPs[0]
		}
		p.ContainerIPs = etchosts.HostEntries{{IP: ip.String(), Names: h.Names}}
	}
	if err := etchosts.New(p); err != nil {
		return fmt.Errorf("hosts: %w", err)
	}
	return nil
}

// NoHostAddressError says that host-gateway has no meaning in this network.
type NoHostAddressError struct{ Names []string }

func (e NoHostAddressError) Error() string {
	return fmt.Sprintf("host entry %s: this network has no way to the host, so %s means nothing",
		strings.Join(e.Names, ";"), spec.HostGateway)
}

// Hint is the way out.
func (e NoHostAddressError) Hint() string {
	return "use --network pasta or host, or give an address"
}

// Resolver is what goes into a container's /etc/resolv.conf.
type Resolver struct {
	// Servers, Search and Options replace those of containers.conf(5), which replace those of
	// the host; each where it is not empty. Search "." means no search domains.
	Servers, Search, Options []string
	// Own leaves out what named networks say: their name servers and search domains.
	Own bool
}

// write writes a container's /etc/resolv.conf to path; r is the network of the container, or of its
// pod. Without servers asked for, those of the host are used; one on the host's loopback device,
// such as systemd-resolved's, is reached through pasta. If the host has none, the container gets
// none either, where the ecosystem's library would give it public ones.
func (d Resolver) write(path string, r Result, conf *config.Config) error {
	v6 := hasIPv6(r.IPs)
	servers := given(d.Servers, conf.Containers.DNSServers.Get())
	p := &resolvconf.Params{
		Path: path, Nameservers: servers, IPv6Enabled: v6,
		Searches: given(d.Search, conf.Containers.DNSSearches.Get()),
		Options:  given(d.Options, conf.Containers.DNSOptions.Get()),
	}
	if r.Path != "" {
		ns := specs.LinuxNamespace{Type: specs.NetworkNamespace}
		if filepath.Base(filepath.Dir(r.Path)) == "netns" {
			ns.Path = r.Path // made by ip-netns(8), which keeps a resolv.conf for it in /etc/netns
		}
		p.Namespaces = []specs.LinuxNamespace{ns}
	}
	if len(r.Nameservers) > 0 && !d.Own {
		p.Nameservers = r.Nameservers
		if len(d.Search) == 0 {
			p.Searches = append(slices.Clone(r.Search), p.Searches...)
		}
	} else if len(servers) == 0 && len(r.DNS) > 0 {
		p.Nameservers = append(slices.Clone(r.DNS), hostServers(os.ReadFile, v6)...)
	}
	if err := resolvconf.New(p); err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	return nil
}

// given returns what was asked for, else what is configured.
func given(asked, configured []string) []string {
	if len(asked) > 0 {
		return asked
	}
	return configured
}

// hostServers lists the host's name servers that can be reached from another network namespace. If
// resolv.conf names a local stub only, the program that runs the stub has another file with the
// servers that it asks. Source: systemd-resolved(8), NetworkManager.conf(5).
func hostServers(read func(string) ([]byte, error), v6 bool) []string {
	for _, path := range []string{resolvconf.DefaultResolvConf, "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"} {
		data, err := read(path)
		if err != nil {
			continue
		}
		var out []string
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 2 || f[0] != "nameserver" {
				continue
			}
			ip, err := netip.ParseAddr(f[1])
			if err == nil && !ip.IsLoopback() && ip.Zone() == "" && (v6 || ip.Is4()) {
				out = append(out, f[1])
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

func hasIPv6(ips []netip.Addr) bool {
	for _, ip := range ips {
		if ip.Is6() {
			return true
		}
	}
	return false
}

// hostAddress is the address of the host as seen from inside; prefer is what the
// network itself offers.
func hostAddress(conf *config.Config, prefer string, own []netip.Addr) string {
	o := etchosts.HostContainersInternalOptions{Conf: conf, PreferIP: prefer}
	for _, ip := range own {
		o.Exclude = append(o.Exclude, net.IP(ip.AsSlice()))
	}
	return etchosts.GetHostContainersInternalIP(o)
}
