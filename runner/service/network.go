// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// wiring is the network of a container or pod on its way, with the files in /etc that
// follow from it.
type wiring struct {
	pending *network.Pending
	mode    string
	dir     string
	names   []string // what the container calls itself
	asked   spec.Networking
	config  *config.Config
}

// network starts making the network of a container; nil where its pod has one.
func (e *Engine) network(r *container.Record, join *container.Join) func(context.Context) (container.Network, error) {
	if join != nil && slices.Contains(join.Share, "net") {
		return nil
	}
	return func(ctx context.Context) (container.Network, error) {
		return e.connect(ctx, r.Spec.Networking, e.Containers.Dir(r.ID), []string{r.Hostname(), r.Name}, exposed(r))
	}
}

// podNetwork starts making the network of a pod.
func (e *Engine) podNetwork(ctx context.Context, p pod.Record, dir string) (container.Network, error) {
	hostname := p.Spec.Hostname
	if hostname == "" {
		hostname = p.Name
	}
	if err := os.WriteFile(filepath.Join(dir, "hostname"), []byte(hostname+"\n"), 0o644); err != nil {
		return nil, err
	}
	asked := p.Spec.Networking
	if !slices.Contains(p.Spec.Share, "net") {
		asked.Networks = []spec.Network{{Mode: spec.NetHost}}
	}
	return e.connect(ctx, asked, dir, []string{hostname, p.Name}, nil)
}

func (e *Engine) connect(ctx context.Context, asked spec.Networking, dir string, names []string, extra []spec.PortMapping) (container.Network, error) {
	req := network.Request{
		Network: spec.Network{Mode: spec.NetPasta},
		Ports:   slices.Concat(asked.Publish, extra),
		Dir:     dir,
		Root:    !e.User.Rootless(),
		Config:  e.Containers.Config,
	}
	if len(asked.Networks) > 0 {
		n := asked.Networks[0]
		switch n.Mode {
		case spec.NetPrivate, spec.NetPasta, "":
			req.Network.Options = n.Options
		case spec.NetContainer:
			other, err := e.Containers.Lookup(n.Name)
			if err != nil {
				return nil, err
			}
			s, err := e.Containers.Status(other.ID)
			if err != nil {
				return nil, err
			}
			if s.PID == 0 {
				return nil, fmt.Errorf("--network container:%s: %s: %w", n.Name, other.Name, container.ErrNotRunning)
			}
			req.Network = spec.Network{Mode: spec.NetNS, Path: fmt.Sprintf("/proc/%d/ns/net", s.PID)}
		case spec.NetNone, spec.NetHost, spec.NetNS:
			req.Network = n
		default:
			return nil, &spec.NotBuilt{What: "--network " + n.Mode, Issue: spec.IssueNetworks}
		}
	}
	if req.Network.Mode == spec.NetPasta {
		// pasta takes the machine's addresses and routes over as they are when it starts.
		if err := e.waitOnline(ctx); err != nil {
			return nil, err
		}
	}
	pending, err := network.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	w := &wiring{pending: pending, mode: req.Network.Mode, dir: dir, names: names, asked: asked, config: e.Containers.Config}
	// The runtime binds them before they have their contents; the inodes stay.
	for name, want := range map[string]bool{"hosts": !asked.NoHosts, "resolv.conf": w.wantsResolv()} {
		if !want {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			return nil, errors.Join(err, pending.Close())
		}
	}
	return w, nil
}

// Mode is what the network is called in lists.
func (w *wiring) Mode() string { return w.mode }

// Path is the network namespace.
func (w *wiring) Path() string { return w.pending.Path() }

// Made returns when it is there.
func (w *wiring) Made() error { return w.pending.Made() }

// Connect begins what Wait waits for.
func (w *wiring) Connect() { w.pending.Connect() }

// Close takes the network down.
func (w *wiring) Close() error { return w.pending.Close() }

func (w *wiring) wantsResolv() bool { return !slices.Equal(w.asked.DNS, []string{"none"}) }

// Wait returns when the network works, with hosts and resolv.conf written.
func (w *wiring) Wait(context.Context) (container.Connection, error) {
	var c container.Connection
	result, err := w.pending.Wait()
	if err != nil {
		return c, err
	}
	c = container.Connection{Mode: w.mode, NetNSPath: result.Path, HelperPID: result.PastaPID, Ports: result.Ports}
	for _, ip := range result.IPs {
		c.IPs = append(c.IPs, ip.String())
	}
	if !w.asked.NoHosts {
		hosts := network.Hosts{Base: w.asked.HostsFile, Entries: w.asked.AddHosts, Names: w.names, Network: result}
		if err := network.WriteHosts(filepath.Join(w.dir, "hosts"), hosts, w.config); err != nil {
			return c, err
		}
	}
	if w.wantsResolv() {
		conf := w.config.Containers
		servers, search, options := w.asked.DNS, w.asked.DNSSearch, w.asked.DNSOptions
		if len(servers) == 0 {
			servers = conf.DNSServers.Get()
		}
		if len(search) == 0 {
			search = conf.DNSSearches.Get()
		}
		if len(options) == 0 {
			options = conf.DNSOptions.Get()
		}
		resolver := network.Resolver{Servers: servers, Search: search, Options: options, Network: result}
		if err := network.WriteResolvConf(filepath.Join(w.dir, "resolv.conf"), resolver); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Online returns when the machine is on the network, or will not be soon.
func (e *Engine) Online(ctx context.Context) error { return e.waitOnline(ctx) }

// waitOnline waits for a route that is about to come, in a unit of a user: such a unit
// cannot be ordered after the system's network-online.target.
func (e *Engine) waitOnline(ctx context.Context) error {
	if !e.InService() || !e.User.Rootless() {
		return nil
	}
	return network.WaitOnline(ctx, e.User.UID, func() {
		_ = e.Notify.Send(notify.Status("waiting for the network"), notify.ExtendTimeout(onlineWindow))
	})
}

// onlineWindow is longer than network.WaitOnline waits.
const onlineWindow = 2 * time.Minute
