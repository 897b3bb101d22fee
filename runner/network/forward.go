// SPDX-License-Identifier: Apache-2.0

package network

import (
	"net/netip"
	"os"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
	"go.podman.io/common/pkg/config"
)

// pesto is the program that tells a pasta on which ports to listen; empty where passt has none.
func pesto(conf *config.Config) string {
	path, err := conf.FindHelperBinary("pesto", true)
	if err != nil {
		return ""
	}
	return path
}

// forward has the ports of a user's container come through the pasta of the user's networks, where
// all of its clients can reach it so. Else it stays with a pasta of its own.
func forward(c *netavark.Connection, ports []spec.PortMapping, conf *config.Config) {
	program := pesto(conf)
	if program == "" {
		return
	}
	four, six := c.Families()
	if listen, ok := reachable(ports, four, six, readRoutes(os.ReadFile)); ok {
		c.SetForward(&netavark.Forward{Pesto: program, Ports: listen})
	}
}

// reachable are ports as one pasta is to listen on them for a container whose network has addresses
// of these families. ok is false if some of the clients could not reach it: those of IPv6 where the
// network or the machine has none, since a pasta of its own gives a container the machine's IPv6
// whatever its network has; those of UDP, see netavark.Forward.
func reachable(ports []spec.PortMapping, four, six bool, r routes) (listen []types.PortMapping, ok bool) {
	six = six && r.default6 != ""
	for i, m := range mappings(ports) {
		ip := ports[i].HostIP
		families := []netip.Addr{ip}
		if !ip.IsValid() {
			families = []netip.Addr{netip.IPv4Unspecified()}
			if r.any6 != "" {
				families = append(families, netip.IPv6Unspecified())
			}
		}
		if m.Protocol != "tcp" || ip.Zone() != "" || ip.Is4In6() {
			return nil, false
		}
		for _, f := range families {
			if f.Is4() && !four || f.Is6() && !six {
				return nil, false
			}
			m.HostIP = f.String()
			listen = append(listen, m)
		}
	}
	return listen, true
}
