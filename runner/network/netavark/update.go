// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// Update changes the name servers that the name server of a network asks: drop goes, add comes. It holds at once for who
// is on the network, and for its later users. What is there already, and what is not there, is no error. shared is
// the directory of the user's namespace; empty as root.
func (s *Store) Update(ctx context.Context, nameOrID, shared string, add, drop []net.IP) error {
	return s.withLock(func() error {
		n, err := s.Get(nameOrID)
		if err != nil {
			return err
		}
		if !n.DNSEnabled {
			return fmt.Errorf("network %s has no name server (--disable-dns, or a driver without), so there is none to ask others", n.Name)
		}
		servers := slices.Clone(n.NetworkDNSServers)
		for _, ip := range drop {
			servers = slices.DeleteFunc(servers, func(old string) bool { return ip.Equal(net.ParseIP(old)) })
		}
		for _, ip := range add {
			if !slices.ContainsFunc(servers, func(old string) bool { return ip.Equal(net.ParseIP(old)) }) {
				servers = append(servers, ip.String())
			}
		}
		n.NetworkDNSServers = servers
		if err := s.save(n); err != nil {
			return err
		}
		return errors.Join(s.noteServers(n), s.tellServer(ctx, n, shared))
	})
}

// noteServers writes the name servers of a network into the connections that have it, so that one that is made again
// has them.
func (s *Store) noteServers(n Network) error {
	var errs []error
	for dir, c := range s.connections() {
		if c.Info[n.Name] == nil {
			continue
		}
		c.Info[n.Name].NetworkDNSServers = n.NetworkDNSServers
		errs = append(errs, c.save(dir))
	}
	return errors.Join(errs...)
}

// tellServer has netavark tell aardvark-dns, if that serves the network.
func (s *Store) tellServer(ctx context.Context, n Network, shared string) error {
	program, err := s.Program("netavark")
	if err != nil {
		return err
	}
	c := &Connection{Netavark: program, Run: s.Run, Rootless: s.Rootless, Shared: shared, Firewall: s.Config.Network.FirewallDriver, DNSPort: s.Config.Network.DNSBindPort}
	if !c.served(n.Name) {
		return nil // nobody is on the network
	}
	within, ok, err := c.host()
	if err != nil || !ok {
		return err
	}
	return c.update(ctx, n.Name, strings.Join(n.NetworkDNSServers, ","), within)
}
