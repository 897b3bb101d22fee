// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
	"go.podman.io/common/pkg/config"
	"golang.org/x/sys/unix"
)

// pesto is the program that tells a pasta which ports to forward; empty where passt has none.
func pesto(conf *config.Config) string {
	path, err := conf.FindHelperBinary("pesto", true)
	if err != nil {
		return ""
	}
	return path
}

// forward has the ports of a user's container come through the pasta of the user's networks, where all of its clients can
// reach it so. It reports whether they do.
func forward(c *netavark.Connection, s *netavark.Store, ports []spec.PortMapping, conf *config.Config, r routes) bool {
	program := pesto(conf)
	if program == "" {
		return false
	}
	four, six := c.Families()
	listen, ok := reachable(ports, four, six, r)
	if !ok || !c.SetForward(s, &netavark.Forward{Pesto: program, Ports: listen}) {
		return false
	}
	c.Routed = false
	return true
}

// reachable are ports as pasta is to listen on them for a container whose network has addresses of these families. ok is
// false if some of the clients could not reach it: those of IPv6 where the network has none. A pasta of its own gives a
// container the machine's IPv6 whatever its networks have.
func reachable(ports []spec.PortMapping, four, six bool, r routes) (listen []types.PortMapping, ok bool) {
	for i, m := range mappings(ports) {
		ip := ports[i].HostIP
		switch {
		case ip.Zone() != "" || ip.Is4In6():
			return nil, false
		case ip.Is4():
			ok = four
		case ip.Is6():
			ok = six && r.default6 != ""
		case r.any6 == "":
			m.HostIP, ok = netip.IPv4Unspecified().String(), four
		default:
			ok = four && six && r.default6 != ""
		}
		if !ok {
			return nil, false
		}
		listen = append(listen, m)
	}
	return listen, ok
}

// listenTime is how long pasta may take until it listens on a port that it was told.
const listenTime = 5 * time.Second

// listens returns when pasta listens on the ports of a connection that it forwards. It says nothing of one that it could not
// bind.
func listens(ctx context.Context, c *netavark.Connection) error {
	if c.Forward == nil {
		return nil
	}
	for _, p := range c.Forward.Ports {
		ip, _ := netip.ParseAddr(p.HostIP) // not valid for all addresses
		for i := range p.Range {
			for began := time.Now(); !taken(ip, p.HostPort+i, p.Protocol); time.Sleep(5 * time.Millisecond) {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if time.Since(began) > listenTime {
					return fmt.Errorf("publish port %d/%s: pasta of the user's networks does not listen on it", p.HostPort+i, p.Protocol)
				}
			}
		}
	}
	return nil
}

// taken reports whether somebody has a port.
func taken(ip netip.Addr, port uint16, protocol string) bool {
	for _, a := range binds(ip) {
		if errors.Is(bind(a, port, protocol, nil), unix.EADDRINUSE) {
			return true
		}
	}
	return false
}
