// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// NextDevice is the name of the device that a connection gets on one more network.
func (s *Store) NextDevice(network string, c *Connection) (string, error) {
	n, err := s.Get(network)
	if err != nil {
		return "", err
	}
	return s.deviceOn(n, func(name string) bool {
		return slices.ContainsFunc(c.Networks, func(e Endpoint) bool { return e.InterfaceName == name })
	}), nil
}

// Add connects somebody who runs to one more network, which is what more is prepared for. ns is his
// network namespace.
func (c *Connection) Add(ctx context.Context, dir string, ns *os.File, more *Connection, servers Servers) error {
	err := c.store().withLock(ctx, func(ctx context.Context) error {
		within, ok, err := c.host()
		if err != nil {
			return err
		}
		if !ok {
			return NoNamespaceError{servers.Namespace}
		}
		before := c.dnsPID()
		more.Routed = c.Routed
		name := more.Networks[0].Name
		if c.Info[name] != nil {
			return fmt.Errorf("%s is already connected to network %s", c.Name, name)
		}
		err = c.store().leases(func(tx *bbolt.Tx) error {
			e := &more.Networks[0]
			if !leased(*more.Info[e.Name]) {
				return nil
			}
			var err error
			e.StaticIPs, err = lease(tx, *more.Info[e.Name], c.ID, e.StaticIPs)
			return err
		})
		if err != nil {
			return err
		}
		// What goes wrong from here on is taken back with the rest of the connection.
		c.Networks = append(c.Networks, more.Networks[0])
		c.Info[name] = more.Info[name]
		if err := c.save(dir); err != nil {
			return err
		}
		if err := more.make(ctx, ns, within); err != nil {
			return errors.Join(err, c.leave(ctx, dir, ns, name, within))
		}
		c.Answer[name] = more.Answer[name]
		if c.Peers == nil {
			c.Peers = map[string]int{}
		}
		c.Peers[name] = more.Peers[name]
		if err := c.save(dir); err != nil {
			return err
		}
		return more.serve(ctx, before, servers)
	})
	if err != nil || c.Rootless || !more.HasDNS() || c.dnsPID() != 0 {
		return err
	}
	return servers.Names(ctx)
}

// Leave disconnects somebody who runs from one of several networks. It is refused if his published
// ports lead to that one, and can lead to no other.
func (c *Connection) Leave(ctx context.Context, dir string, ns *os.File, name string, servers Servers) error {
	return c.store().withLock(ctx, func(ctx context.Context) error {
		within, ok, err := c.host()
		if err != nil {
			return err
		}
		if !ok {
			return NoNamespaceError{servers.Namespace}
		}
		if c.Forward != nil && c.Forward.Network == name {
			if err := c.moveForward(ctx, dir); err != nil {
				return err
			}
		}
		return c.leave(ctx, dir, ns, name, within)
	})
}

func (c *Connection) leave(ctx context.Context, dir string, ns *os.File, name string, within func(func() error) error) error {
	i := slices.IndexFunc(c.Networks, func(e Endpoint) bool { return e.Name == name })
	if i < 0 {
		return fmt.Errorf("%s is not on network %s", c.Name, name)
	}
	one := *c
	one.Networks = c.Networks[i : i+1]
	r := one.request()
	r.Info = map[string]*Network{name: c.Info[name]}
	if _, err := c.call(ctx, "teardown", r, ns, within); err != nil && c.Answer[name].Interfaces != nil {
		return err
	}
	err := c.store().leases(func(tx *bbolt.Tx) error { return release(tx, name, c.ID) })
	if err != nil {
		return err
	}
	c.Networks = slices.Delete(slices.Clone(c.Networks), i, i+1)
	delete(c.Info, name)
	delete(c.Answer, name)
	delete(c.Peers, name)
	return c.save(dir)
}
