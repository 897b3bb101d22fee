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

// Update changes the name servers that the name server of a network asks: drop goes, add comes. It
// holds at once for who is on the network, and for its later users. What is there already, and what
// is not there, is no error. shared is the directory of the user's namespace; empty as root.
func (s *Store) Update(ctx context.Context, nameOrID, shared string, add, drop []net.IP) error {
	return s.withLock(ctx, func(ctx context.Context) error {
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
		if err := s.canTell(n.Name, servers); err != nil {
			if len(n.NetworkDNSServers) == 0 {
				return nil // it had none: there is nothing to tell
			}
			return err
		}
		n.NetworkDNSServers = servers
		if err := s.save(n); err != nil {
			return err
		}
		return errors.Join(s.noteServers(n), s.tellServer(ctx, n, shared))
	})
}

// canTell returns an error if a network that somebody is on is to have no servers of its own any
// more, and netavark cannot tell aardvark-dns so: version 1.4 takes no empty list. Its release notes
// do not say which version first takes one; 1.14 does.
func (s *Store) canTell(network string, servers []string) error {
	if len(servers) > 0 || !(&Connection{Run: s.Run}).served(network) {
		return nil
	}
	v, err := s.version()
	if err == nil && v.less(version{1, 14}) {
		err = TooOldError{What: "--dns-drop of the last server, while the network is in use,", Installed: v.String(), Need: version{1, 14}.String()}
	}
	return err
}

// noteServers writes the name servers of a network into the connections that have it, so that one
// that is made again has them.
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
