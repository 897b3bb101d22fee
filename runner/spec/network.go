// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Network modes.
const (
	NetNone      = "none"      // a network namespace with a loopback device only
	NetHost      = "host"      // the host's network namespace
	NetPasta     = "pasta"     // pasta, the default without rights
	NetContainer = "container" // the network namespace of another container
	NetNS        = "ns"        // a network namespace by its path
	NetPrivate   = "private"   // the default for the user: pasta or, as root, a bridge
	NetPod       = "pod"       // the pod's, given by --pod
	NetBridge    = "bridge"    // the default named network
	NetNamed     = "named"     // a named network
)

// Network is one --network.
type Network struct {
	// Mode is one of the Net constants.
	Mode string
	// Name is the container of NetContainer or the network of NetNamed.
	Name string `json:",omitempty"`
	// Path is that of NetNS.
	Path string `json:",omitempty"`
	// Options are those after the colon: arguments of pasta, or NAME=VALUE
	// settings of a named network.
	Options []string `json:",omitempty"`
	// Notice is what its user should know of how it was understood; empty for nothing.
	Notice string `json:"-"`
}

// ParseNetwork reads MODE[:OPTIONS]. Any word that is no mode is the name of a
// network. Source: podman-run(1), --network.
func ParseNetwork(s string) (Network, error) {
	mode, rest, colon := strings.Cut(s, ":")
	options := func() []string {
		if rest == "" {
			return nil
		}
		return strings.Split(rest, ",")
	}
	switch mode {
	case "":
		return Network{}, errEmpty
	case NetNone, NetHost, NetPrivate:
		if colon {
			return Network{}, fmt.Errorf("%s takes no options", mode)
		}
		return Network{Mode: mode}, nil
	case NetPasta:
		return Network{Mode: mode, Options: options()}, nil
	case NetContainer:
		if rest == "" {
			return Network{}, errors.New("the name of the container is missing")
		}
		return Network{Mode: mode, Name: rest}, nil
	case NetNS:
		if !strings.HasPrefix(rest, "/") {
			return Network{}, fmt.Errorf("%q is not an absolute path", rest)
		}
		return Network{Mode: mode, Path: rest}, nil
	case slirp:
		return parseSlirp(options())
	case NetBridge:
		n := Network{Mode: mode, Options: options()}
		_, err := n.Endpoint()
		return n, err
	case "default":
		return Network{Mode: NetPrivate}, nil
	}
	for _, c := range mode {
		if c > 'z' || !strings.ContainsRune("_.-", c) && !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return Network{}, fmt.Errorf("%q is neither a mode nor the name of a network, which has letters, digits, _, . and -", mode)
		}
	}
	n := Network{Mode: NetNamed, Name: mode, Options: options()}
	_, err := n.Endpoint()
	return n, err
}

// IsNamed tells whether this is a named network, which the default one is, too.
func (n Network) IsNamed() bool { return n.Mode == NetNamed || n.Mode == NetBridge }

// HasPorts tells whether ports can be published on the network: not on none, the machine's or
// somebody else's.
func (n Network) HasPorts() bool {
	switch n.Mode {
	case NetHost, NetNone, NetContainer, NetNS:
		return false
	}
	return true
}

// Endpoint is what a container wants in a named network.
type Endpoint struct {
	IPs     []netip.Addr
	MAC     net.HardwareAddr
	Aliases []string
	// Interface is the name of the device inside; empty for ethN.
	Interface string
	// Options are for the driver.
	Options map[string]string
}

// Endpoint reads the options of a named network. Source: podman-run(1), --network.
func (n Network) Endpoint() (Endpoint, error) {
	var e Endpoint
	network := cmp.Or(n.Name, n.Mode)
	for _, o := range n.Options {
		key, value, ok := strings.Cut(o, "=")
		if !ok || key == "" || value == "" {
			return e, fmt.Errorf("option %q of network %s: want ip=, ip6=, mac=, alias=, interface_name= or KEY=VALUE", o, network)
		}
		switch key {
		case "ip", "ip6":
			ip, err := netip.ParseAddr(value)
			if err != nil || ip.Zone() != "" {
				return e, fmt.Errorf("option %s of network %s: %q is not an IP address", key, network, value)
			}
			e.IPs = append(e.IPs, ip.Unmap())
		case "mac":
			mac, err := net.ParseMAC(value)
			if err != nil || len(mac) != 6 {
				return e, fmt.Errorf("option mac of network %s: %q is not a MAC address", network, value)
			}
			e.MAC = mac
		case "alias":
			if strings.ContainsAny(value, " \t\n,") {
				return e, fmt.Errorf("option alias of network %s: %q is not a name", network, value)
			}
			e.Aliases = append(e.Aliases, value)
		case "interface_name", "host_interface_name":
			if err := CheckDevice(value); err != nil {
				return e, fmt.Errorf("option %s of network %s: %w", key, network, err)
			}
			if key == "interface_name" {
				e.Interface = value
			} else {
				e.option(key, value)
			}
		default:
			e.option(key, value)
		}
	}
	return e, nil
}

// CheckDevice judges the name of a network device. Source: dev_valid_name in the kernel, to which a
// % counts up.
func CheckDevice(name string) error {
	if len(name) > 15 || name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r") {
		return fmt.Errorf("interface name %q: it has at most 15 characters, without /, :, %% and white space", name)
	}
	return nil
}

func (e *Endpoint) option(key, value string) {
	if e.Options == nil {
		e.Options = map[string]string{}
	}
	e.Options[key] = value
}

// HostEntry is one line of /etc/hosts.
type HostEntry struct {
	Names []string
	// IP is the zero Addr if Gateway is set.
	IP netip.Addr
	// Gateway stands for the address of the host as the container sees it.
	Gateway bool
}

// HostGateway is the word that stands for the host's own address.
const HostGateway = "host-gateway"

// ParseHostEntry reads name[;name...]:ip, with host-gateway for the host's
// address. Source: podman-run(1), --add-host.
func ParseHostEntry(s string) (HostEntry, error) {
	names, ip, found := strings.Cut(s, ":")
	if !found {
		return HostEntry{}, errors.New("the address is missing")
	}
	e := HostEntry{Names: strings.Split(names, ";")}
	for _, n := range e.Names {
		if n == "" || strings.ContainsAny(n, " \t\n#") {
			return HostEntry{}, fmt.Errorf("%q is not a host name", n)
		}
	}
	if ip == HostGateway {
		e.Gateway = true
		return e, nil
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]"))
	if err != nil {
		return HostEntry{}, fmt.Errorf("%q is not an IP address", ip)
	}
	e.IP = addr
	return e, nil
}

// Namespace is where a namespace comes from.
type Namespace struct {
	// Mode is empty for the default, or private, host, shareable, none, pod,
	// container or ns.
	Mode string `json:",omitempty"`
	// Container is that of mode container.
	Container string `json:",omitempty"`
	// Path is that of mode ns.
	Path string `json:",omitempty"`
}

// ParseNamespace reads one of the simple modes given, container:NAME or ns:PATH.
func ParseNamespace(s string, modes ...string) (Namespace, error) {
	for _, m := range modes {
		if s == m {
			return Namespace{Mode: m}, nil
		}
	}
	mode, rest, _ := strings.Cut(s, ":")
	switch mode {
	case "container":
		if rest == "" {
			return Namespace{}, errors.New("the name of the container is missing")
		}
		return Namespace{Mode: mode, Container: rest}, nil
	case "ns":
		if !strings.HasPrefix(rest, "/") {
			return Namespace{}, fmt.Errorf("%q is not an absolute path", rest)
		}
		return Namespace{Mode: mode, Path: rest}, nil
	}
	return Namespace{}, fmt.Errorf("%q is not a mode", s)
}
