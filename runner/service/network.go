// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
)

// network describes what a container is to be connected to; nil if it shares its pod's network.
func (e *Engine) network(ctx context.Context, r *container.Record, join *container.Join, peers container.Peers) (*network.Request, error) {
	if join != nil && slices.Contains(join.Share, "net") {
		return nil, nil
	}
	req, err := e.networkRequest(r.Spec.Networking, who{r.ID, r.Name, r.Hostname()}, peers)
	if err != nil {
		return nil, err
	}
	more, err := spec.OnDefaultHosts(exposed(r, r.Spec.Named() && !e.User.Rootless()), e.Containers.Config)
	if err != nil {
		return nil, err
	}
	req.Ports = append(req.Ports, more...)
	req.Ping, err = e.Containers.RootGroup(ctx, r.Spec.IDMapping, peers)
	return &req, err
}

// podNetwork describes what a pod is to be connected to.
func (e *Engine) podNetwork(ctx context.Context, p pod.Record) (network.Request, error) {
	asked := p.Spec.Networking
	if !slices.Contains(p.Spec.Share, "net") {
		asked.Networks = []spec.Network{{Mode: spec.NetHost}}
	}
	peers, err := e.peers(networkNamespace(asked)...)
	if err != nil {
		return network.Request{}, err
	}
	req, err := e.networkRequest(asked, who{p.ID, p.Name, p.Hostname()}, peers)
	if err != nil {
		return req, err
	}
	req.Ping, err = e.Containers.RootGroup(ctx, p.Spec.IDMapping, nil)
	return req, err
}

// who identifies the container or pod that a network is for.
type who struct{ id, name, hostname string }

// ownNames are the names of its own address, the full one first as hosts(5) wants it.
func ownNames(full string, w who) []string {
	if full == "" {
		return []string{w.hostname, w.name}
	}
	return []string{full, w.hostname, w.name}
}

// networkRequest turns what a command line says about the network into paths and names. A container
// whose network is joined is among the peers.
func (e *Engine) networkRequest(asked spec.Networking, w who, peers container.Peers) (network.Request, error) {
	req := network.Request{
		Network: spec.Network{Mode: spec.NetPasta},
		Ports:   slices.Clone(asked.Ports()),
		Root:    !e.User.Rootless(),
		Config:  e.Containers.Config,
		Online:  e.waitOnline,
	}
	if !asked.NoHosts {
		req.Hosts = &network.Hosts{Base: asked.HostsFile, Entries: asked.AddHosts, Names: ownNames(asked.FullName, w)}
	}
	if !slices.Equal(asked.DNS, []string{"none"}) {
		req.Resolver = &network.Resolver{Servers: asked.DNS, Search: asked.DNSSearch, Options: asked.DNSOptions, Own: asked.OwnDNS}
	}
	if len(asked.Networks) == 0 {
		return req, nil
	}
	n := asked.Networks[0]
	switch n.Mode {
	case spec.NetPrivate, spec.NetPasta, "":
		req.Network.Options = n.Options
	case spec.NetContainer:
		var err error
		if req.Network, req.Joined, err = e.networkOf(n.Name, peers["net"]); err != nil {
			return req, err
		}
		if req.Joined.Hosts == "" && len(asked.AddHosts) == 0 {
			req.Hosts = nil // its image's, and so ours
		}
		if req.Joined.ResolvConf == "" && len(asked.DNS)+len(asked.DNSSearch)+len(asked.DNSOptions) == 0 {
			req.Resolver = nil
		}
	case spec.NetNone:
		req.Network = n
		conf := e.Containers.Config.Containers
		if len(asked.DNS)+len(asked.DNSSearch)+len(asked.DNSOptions)+len(conf.DNSServers.Get())+len(conf.DNSSearches.Get())+len(conf.DNSOptions.Get()) == 0 {
			req.Resolver = nil // no server could be reached: it keeps what the image has
		}
	case spec.NetHost, spec.NetNS:
		req.Network = n
	case spec.NetBridge, spec.NetNamed:
		req.Network = spec.Network{Mode: spec.NetBridge}
		var err error
		req.Bridge, err = e.bridge(asked, w)
		return req, err
	default:
		return req, fmt.Errorf("--network %s: no such mode", n.Mode)
	}
	return req, nil
}

// networkOf returns the network of a running container, which a command line names, with what whoever
// joins it has to know of that container.
func (e *Engine) networkOf(name string, other container.Record) (spec.Network, *network.Joined, error) {
	s, err := e.Containers.Status(other.ID)
	if err == nil && s.PID == 0 {
		err = container.ErrNotRunning
	}
	if err != nil {
		return spec.Network{}, nil, fmt.Errorf("--network container:%s: %w", name, err)
	}
	files, err := e.Containers.FilesOf(other)
	if err != nil {
		return spec.Network{}, nil, err
	}
	files.Name, files.PID, files.Ticks = other.Name, s.PID, s.StartTicks
	path := process.Namespace(s.PID, "net")
	if process.IsOurs(path, "net") {
		return spec.Network{Mode: spec.NetHost}, &files, nil
	}
	return spec.Network{Mode: spec.NetNS, Path: path}, &files, nil
}

// Online returns when the machine is on the network, or after a while without one.
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
