// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
)

// ErrConnected is the error for a running container that is on the network already.
var ErrConnected = errors.New("network is already connected")

// ConnectNetwork connects a container to one more network, at once if it runs, and for its later
// starts.
func (e *Engine) ConnectNetwork(ctx context.Context, r container.Record, n spec.Network) error {
	return e.changeNetworks(ctx, r, n.Name, "connect", func(r *container.Record, name string, on int, s container.Status) error {
		if on >= 0 && s.PID == 0 {
			return nil
		}
		n.Name, n.Mode = name, spec.NetNamed
		r.Spec.Networks = slices.Clone(r.Spec.Networks)
		if s.PID == 0 {
			r.Spec.Networks = append(r.Spec.Networks, n)
			return nil
		}
		c, ns, err := e.running(*r, s)
		if err != nil {
			return err
		}
		defer ns.Close()
		switch there := c.Info[name] != nil; {
		case on >= 0 && there:
			return fmt.Errorf("container %s is already connected to network %s: %w", r.Name, name, ErrConnected)
		case on >= 0: // A disconnect was killed before it noted what it had done.
			r.Spec.Networks[on] = n
		case there: // A connect was killed before it noted what it had done, maybe half.
			if err := e.leave(ctx, *r, c, ns, name); err != nil {
				return err
			}
			fallthrough
		default:
			r.Spec.Networks = append(r.Spec.Networks, n)
		}
		b, err := e.bridge(spec.Networking{Networks: []spec.Network{n}, Hostname: r.Spec.Hostname}, who{r.ID, r.Name, r.Hostname()})
		if err != nil {
			return err
		}
		if one := &b.Connection.Networks[0]; one.InterfaceName == "" {
			if one.InterfaceName, err = b.Store.NextDevice(one.Name, c); err != nil {
				return err
			}
		}
		more, err := b.Store.Prepare(b.Connection)
		if err != nil {
			return err
		}
		if err := c.Add(ctx, e.Containers.Dir(r.ID), ns, more, b.Servers); err != nil {
			return err
		}
		return e.tellFiles(*r, nil, c)
	})
}

// DisconnectNetwork takes a container from one of its networks.
func (e *Engine) DisconnectNetwork(ctx context.Context, r container.Record, network string) error {
	return e.changeNetworks(ctx, r, network, "disconnect", func(r *container.Record, name string, on int, s container.Status) error {
		if on < 0 {
			return fmt.Errorf("container %s is not connected to network %s", r.Name, name)
		}
		if len(r.Spec.Networks) == 1 {
			return hint.With(fmt.Errorf("%s is the only network of container %s", name, r.Name), "connect it to another one first: podunit network connect NETWORK %s", r.Name)
		}
		r.Spec.Networks = slices.Delete(slices.Clone(r.Spec.Networks), on, on+1)
		if s.PID == 0 {
			return nil
		}
		c, ns, err := e.running(*r, s)
		if err != nil {
			return err
		}
		defer ns.Close()
		if c.Info[name] == nil {
			return nil // A disconnect was killed before it noted what it had done.
		}
		return e.leave(ctx, *r, c, ns, name)
	})
}

// leave takes a running container from a network, and from its files what they say of it.
func (e *Engine) leave(ctx context.Context, r container.Record, c *netavark.Connection, ns *os.File, name string) error {
	before := *c
	before.Answer = maps.Clone(c.Answer) // Leave changes it
	if err := c.Leave(ctx, e.Containers.Dir(r.ID), ns, name, e.servers()); err != nil {
		return err
	}
	return e.tellFiles(r, &before, c)
}

// changeNetworks changes the networks of a container under its lock, and notes them. status is the
// word of podman-events(1) for it. change gets the name of the network, and where it is among those
// of the container, or -1.
func (e *Engine) changeNetworks(ctx context.Context, r container.Record, nameOrID, status string, change func(r *container.Record, name string, on int, s container.Status) error) error {
	store := e.Networks()
	n, err := store.Get(nameOrID)
	if err != nil {
		return err
	}
	return e.WithLock(ctx, r.Name, func(*container.Lock) error {
		r, err := e.Containers.Lookup(r.ID)
		if err != nil {
			return err
		}
		if !r.Spec.Named() {
			mode := spec.NetPasta
			if len(r.Spec.Networks) > 0 {
				mode = r.Spec.Networks[0].Mode
			} else if r.PodID != "" {
				mode = spec.NetPod
			}
			return fmt.Errorf("container %s: %q is not supported: invalid network mode; only containers on named networks can be connected to others", r.Name, mode)
		}
		if err := e.Containers.CanNote(r.Name); err != nil {
			return fmt.Errorf("container %s: %w", r.Name, err)
		}
		s, err := e.Containers.Status(r.ID)
		if err != nil {
			return err
		}
		on := slices.IndexFunc(r.Spec.Networks, func(one spec.Network) bool {
			return one.Name == n.Name || one.Name == n.ID || one.Mode == spec.NetBridge && n.Name == store.Default()
		})
		if err := change(&r, n.Name, on, s); err != nil {
			return err
		}
		if err := e.Containers.Note(r); err != nil || e.Event == nil {
			return err
		}
		e.Event(journal.Event{Type: "network", Status: status, Time: time.Now(), ID: r.ID, Network: n.Name})
		return nil
	})
}

// running is the connection of a container that runs, with its network namespace.
func (e *Engine) running(r container.Record, s container.Status) (*netavark.Connection, *os.File, error) {
	c, err := netavark.Read(e.Containers.Dir(r.ID))
	if err == nil && c == nil {
		err = fmt.Errorf("container %s runs, and its networks are not known", r.Name)
	}
	if err != nil {
		return nil, nil, err
	}
	ns, err := netns.OpenOf(s.PID, s.StartTicks)
	if err != nil {
		err = fmt.Errorf("container %s: %w", r.Name, err)
	}
	return c, ns, err
}

// tellFiles brings resolv.conf and hosts of a running container up to date: it removes the lines of
// the connection before and adds those of the connection now. before is nil if no line goes.
func (e *Engine) tellFiles(r container.Record, before, now *netavark.Connection) error {
	lines := func(c *netavark.Connection) (servers, hosts []string) {
		if c == nil {
			return nil, nil
		}
		for _, ip := range c.Nameservers() {
			servers = append(servers, "nameserver "+ip.String())
		}
		for _, ip := range c.Addresses() {
			hosts = append(hosts, ip.String()+"\t"+strings.Join([]string{r.Hostname(), r.Name}, " "))
		}
		return servers, hosts
	}
	oldServers, oldHosts := lines(before)
	newServers, newHosts := lines(now)
	dir := e.Containers.Files(r.ID)
	if len(r.Spec.DNS) > 0 && r.Spec.DNS[0] == "none" {
		newServers, oldServers = nil, nil
	}
	return errors.Join(replaceLines(filepath.Join(dir, "resolv.conf"), oldServers, newServers), replaceLines(filepath.Join(dir, "hosts"), oldHosts, newHosts))
}

// maxLines is the largest file of a container's that is read to replace lines in it, in bytes.
const maxLines = 1 << 20

// replaceLines writes a file anew, in place since it is bound into a container: without the lines
// that went, and with those that are missing at its end. It makes no file that the container does
// not have. The container may have made the file as large as it likes: one larger than maxLines is
// replaced as a whole.
func replaceLines(path string, gone, there []string) error {
	data, err := safe.ReadFile(path, maxLines)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, safe.ErrTooLarge):
		// A file that is too large is written anew with nothing but the lines of now.
	case err != nil:
		return err
	}
	var out bytes.Buffer
	missing := slices.Clone(there)
	for line := range strings.Lines(string(data)) {
		bare := strings.TrimSuffix(line, "\n")
		if slices.Contains(gone, bare) && !slices.Contains(there, bare) {
			continue
		}
		missing = slices.DeleteFunc(missing, func(l string) bool { return l == bare })
		fmt.Fprintln(&out, bare)
	}
	for _, line := range missing {
		fmt.Fprintln(&out, line)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
