// SPDX-License-Identifier: Apache-2.0

package network

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
)

// Bridge is the part of a Request that only a container or pod on named networks has.
type Bridge struct {
	// Store is where the networks are kept.
	Store *netavark.Store
	// Connection has the names of the container and its networks.
	Connection netavark.Connection
	// Servers start the units that a network needs besides links.
	Servers netavark.Servers
}

// prepareBridge finds out whether the networks can be joined, before anything is made. A user's
// container that publishes ports gets a pasta of its own for them and for the way out, so that it
// sees the addresses of its clients; the bridges lead to its peers. Where pesto is, the pasta of
// the user's networks may do for it, see forward.
func (n *Network) prepareBridge(ctx context.Context) error {
	b := n.req.Bridge
	var err error
	if n.result.Ports, err = AssignPorts(n.req.Ports); errors.Is(err, ErrPortInUse) {
		return cmp.Or(free(b.Store, b.Connection.ID, n.req.Ports), err) // one pasta may listen for many
	} else if err != nil {
		return err
	}
	c := b.Connection
	if b.Store.Rootless {
		if i := slices.IndexFunc(n.req.Ports, func(p spec.PortMapping) bool { return p.Protocol == "sctp" }); i >= 0 {
			return ProtocolError{n.req.Ports[i]}
		}
		c.Routed = len(n.req.Ports) > 0
	} else {
		if err := free(b.Store, c.ID, n.result.Ports); err != nil {
			return err
		}
		c.Ports = mappings(n.result.Ports)
	}
	if r := n.req.Resolver; r != nil && c.DNS == nil {
		c.DNS = given(r.Servers, n.req.Config.Containers.DNSServers.Get())
	}
	if n.bridge, err = b.Store.Prepare(c); err != nil {
		return err
	}
	if c.Routed && n.bridge.Internal() {
		return InternalPortsError{}
	}
	if c.Routed && n.req.Online != nil {
		if err := n.req.Online(ctx); err != nil {
			return err
		}
	}
	if c.Routed {
		forward(n.bridge, n.result.Ports, n.req.Config)
	}
	return nil
}

// free makes sure that no other container has a port by a rule of the firewall, or through the pasta
// of the user's networks. No process binds the first, so AssignPorts does not see it; it sees the
// second, but not whose it is.
func free(s *netavark.Store, id string, ports []spec.PortMapping) error {
	if len(ports) == 0 {
		return nil
	}
	for _, other := range s.Connected() {
		if other.ID == id {
			continue
		}
		have := other.Ports
		if other.Forward != nil {
			have = other.Forward.Ports
		}
		for _, theirs := range have {
			ip, _ := netip.ParseAddr(theirs.HostIP) // not valid for all addresses
			their := spec.PortMapping{HostIP: ip, HostPort: theirs.HostPort, Range: max(1, theirs.Range), Protocol: theirs.Protocol}
			for _, p := range ports {
				p.Range = max(1, p.Range)
				if overlap(their, p) {
					return PortInUseError{IP: p.HostIP, Port: max(p.HostPort, their.HostPort), Protocol: p.Protocol, Holder: "container " + other.Name}
				}
			}
		}
	}
	return nil
}

// ProtocolError says that a port cannot be published because of its protocol.
type ProtocolError struct{ Port spec.PortMapping }

func (e ProtocolError) Error() string {
	return fmt.Sprintf("publish %s: pasta can't forward protocol: %s", e.Port, e.Port.Protocol)
}

// Hint is the way out.
func (e ProtocolError) Hint() string {
	return "as root, a named network forwards it; else leave it out: containers on one network reach each other without"
}

// InternalPortsError says that a user's container publishes ports and is on internal networks only.
type InternalPortsError struct{}

func (InternalPortsError) Error() string {
	return "published ports need a way out, and all networks of the container are internal"
}

// Hint is the way out.
func (InternalPortsError) Hint() string {
	return "add a network that is not internal, or publish the ports on a proxy that is on both"
}

func mappings(ports []spec.PortMapping) []types.PortMapping {
	var out []types.PortMapping
	for _, p := range ports {
		m := types.PortMapping{ContainerPort: p.ContainerPort, HostPort: p.HostPort, Range: p.Range, Protocol: p.Protocol}
		if p.HostIP.IsValid() {
			m.HostIP = p.HostIP.String()
		}
		out = append(out, m)
	}
	return out
}

// connectBridge makes the links to the networks, and the way out where the container has one of its
// own.
func (n *Network) connectBridge(ctx context.Context) error {
	b := n.req.Bridge
	if err := n.bridge.Connect(ctx, n.req.Dir, n.ns, b.Servers); err != nil {
		return err
	}
	ips := addresses(n.bridge.Addresses())
	if n.bridge.Routed {
		if err := n.pasta(ctx); err != nil {
			return err
		}
	} else if b.Store.Rootless {
		if shared, ok := netavark.ReadShared(n.bridge.Shared); ok && !n.bridge.Internal() {
			n.result.DNS = sameFamily(shared.DNS, ips)
			host := ""
			if same := sameFamily([]string{shared.Host}, ips); len(same) > 0 {
				host = same[0]
			}
			n.result.Host = hostAddress(n.req.Config, host, ips)
		}
	} else if gateway := n.bridge.Gateway(); gateway != nil {
		n.result.Host = hostAddress(n.req.Config, gateway.String(), ips)
	}
	n.result.IPs = ips
	for _, ip := range n.bridge.Nameservers() {
		n.result.Nameservers = append(n.result.Nameservers, ip.String())
	}
	n.result.Search = n.bridge.Search()
	return nil
}

// addresses are IPs as Result has them: IPv4 first, else in their order.
func addresses(all []net.IP) []netip.Addr {
	var out []netip.Addr
	for _, ip := range all {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	slices.SortStableFunc(out, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return out
}

// Reconnect makes the links of a container or pod again after the namespace of its networks was
// lost. Its own is that of its first process. The remains of the old links are removed first. A
// container or pod that is on no named network, or has yet to be connected, is left alone.
func Reconnect(ctx context.Context, dir string, pid int, ticks uint64, servers netavark.Servers) error {
	_, err := reconnect(ctx, dir, func() (*os.File, error) { return netns.OpenOf(pid, ticks) }, servers)
	return err
}

// reconnect is Reconnect; it returns the connection, nil if there is none.
func reconnect(ctx context.Context, dir string, open func() (*os.File, error), servers netavark.Servers) (*netavark.Connection, error) {
	c, err := netavark.Read(dir)
	if err != nil || c == nil || c.Answer == nil {
		return nil, err
	}
	ns, err := open()
	if err != nil {
		return nil, fmt.Errorf("connect %s again: %w", c.Name, err)
	}
	defer ns.Close()
	if err := c.Connect(ctx, dir, ns, servers); err != nil {
		return c, fmt.Errorf("connect %s again: %w", c.Name, err)
	}
	return c, nil
}
