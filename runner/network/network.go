// SPDX-License-Identifier: Apache-2.0

// Package network gives a container or a pod its network: a namespace of its own, without anything
// (none) or connected through pasta, or somebody else's; and the files hosts and resolv.conf that
// say what is in it. It knows paths and names, not containers. It can take away what it has made,
// also in another process and after a crash: all it needs to know lies in the runtime directory of
// the container or pod.
package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// Request is what a container or pod wants.
type Request struct {
	// Network has mode none, host, pasta, bridge or ns. The caller has turned the
	// others, which need to know other containers, into one of these.
	Network spec.Network
	// Bridge is set in mode bridge only.
	Bridge *Bridge
	// Ports to publish; only pasta and bridges can.
	Ports []spec.PortMapping
	// Dir is the runtime directory of the container or pod, on a tmpfs, in a directory of
	// podunit's own. Its last part is unique. It gets the files netns and pasta.pid.
	Dir string
	// Hosts and Resolver say what the files hosts and resolv.conf are to have; nil for no file.
	Hosts    *Hosts
	Resolver *Resolver
	// Files is the directory of these two.
	Files string
	// Joined is the container whose network this is; nil for a network of one's own.
	Joined *Joined
	// Online, if set, is waited for before there is a namespace for pasta, which takes the
	// machine's addresses and routes over as they are when it starts.
	Online func(context.Context) error
	// Started, if set, is called with pasta's process ID as soon as there is one.
	Started func(pid int) error
	// Ping is the last group that may ping, by its number in our user namespace; the first is 0.
	Ping int
	// Control asks for a pasta that pesto(1) can tell later on which ports to listen, if the
	// installed one can.
	Control bool
	// Root tells that we are the host's root, and not just root in a user namespace.
	Root bool
	// Config is containers.conf(5): helper_binaries_dir, pasta_options,
	// default_sysctls, host_containers_internal_ip.
	Config *config.Config
}

// Result is the network as it was made.
type Result struct {
	// Mode is none, host, pasta, bridge or ns.
	Mode string
	// Path of the network namespace; empty for the host's.
	Path string
	// IPs of the container, IPv4 first.
	IPs []netip.Addr
	// Ports as published: each has a host port.
	Ports []spec.PortMapping
	// DNS are addresses inside that lead to the host's resolver.
	DNS []string
	// Nameservers and Search are those of named networks. If there are name servers, the container
	// asks only them: they forward what they do not know.
	Nameservers, Search []string
	// Host is the address of the host as seen from inside; empty if none is known.
	Host string
	// PastaPID is that of pasta, 0 if there is none.
	PastaPID int
	// Control is the socket at which pesto(1) can tell pasta on which ports to listen; empty if it
	// cannot.
	Control string
	// Refused is why pasta has no such socket although it was asked for one and knows the option;
	// nil else.
	Refused error
}

// Addresses are the IPs as text.
func (r Result) Addresses() []string {
	var all []string
	for _, ip := range r.IPs {
		all = append(all, ip.String())
	}
	return all
}

// Names of what lies in Request.Dir.
const (
	hostsFile  = "hosts"
	resolvFile = "resolv.conf"
	netnsFile  = "netns"     // where the namespace is mounted, as far as the runner's mount namespace reaches
	pidFile    = "pasta.pid" // decimal and a newline, written by pasta itself
	pestoFile  = "pesto.sock"
)

// A Network is one that is being made while its user does other things.
type Network struct {
	req    Request
	made   chan struct{} // closed when the namespace is there, or nsErr says why not
	nsErr  error
	ns     *os.File // for pasta; nil where there is nothing to connect
	begin  sync.Once
	done   chan struct{} // closed when the network works, or err says why not
	err    error
	result Result
	bridge *netavark.Connection // of mode bridge
}

// Start begins to make the network: the files hosts and resolv.conf are there when it returns, so
// that they can be bound into a container, and the namespace is a millisecond later. Wait or
// Close must be called, and Release takes everything back.
//
// It must run in a mount namespace that is private to this process.
func Start(ctx context.Context, req Request) (*Network, error) {
	mode := req.Network.Mode
	if len(req.Ports) > 0 && !req.Network.HasPorts() {
		return nil, PublishError{Mode: mode}
	}
	n := &Network{req: req, made: make(chan struct{}), done: make(chan struct{}), result: Result{Mode: mode}}
	own := mode == spec.NetNone || req.Network.HasPorts()
	var err error
	switch mode {
	case spec.NetHost:
		n.result.Host = hostAddress(req.Config, "127.0.0.1", nil)
	case spec.NetNS:
		err = n.join(req.Network.Path)
	case spec.NetNone:
	case spec.NetPasta:
		if req.Online != nil {
			err = req.Online(ctx)
		}
		if err == nil {
			n.result.Ports, err = AssignPorts(req.Ports)
		}
		if i := slices.IndexFunc(req.Ports, func(p spec.PortMapping) bool { return p.Protocol == "sctp" }); i >= 0 && err == nil {
			err = ProtocolError{req.Ports[i]}
		}
	case spec.NetBridge:
		err = n.prepareBridge(ctx)
	default:
		err = fmt.Errorf("network mode %q is not for a namespace of one's own", mode)
	}
	if err == nil {
		err = n.emptyFiles()
	}
	if err == nil && n.bridge != nil {
		if err = n.bridge.Begin(ctx, req.Dir, req.Bridge.Servers); err != nil {
			err = errors.Join(err, Release(req.Dir))
		}
	}
	if err != nil {
		return nil, err
	}
	if own {
		n.result.Path = filepath.Join(req.Dir, netnsFile)
		go n.makeNS()
	} else {
		close(n.made)
	}
	return n, nil
}

// join looks at a namespace that somebody else has made.
func (n *Network) join(path string) error {
	n.result.Path = path
	ns, err := n.Open()
	if err != nil {
		return err
	}
	defer ns.Close()
	ips, err := netns.Addresses(ns)
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	n.result.IPs, n.result.Host = ips, hostAddress(n.req.Config, "", ips)
	return nil
}

func (n *Network) makeNS() {
	defer close(n.made)
	ns, err := netns.New(n.result.Path, sysctls(n.req.Config, n.req.Ping))
	if err != nil {
		n.nsErr = err
		return
	}
	if n.req.Network.HasPorts() {
		n.ns = ns
		return
	}
	ns.Close() // the mount keeps it
}

// emptyFiles makes the files that are bound into a container before they have their contents;
// the inodes stay.
func (n *Network) emptyFiles() error {
	for name, want := range map[string]bool{hostsFile: n.req.Hosts != nil, resolvFile: n.req.Resolver != nil} {
		if !want {
			continue
		}
		if err := os.WriteFile(filepath.Join(n.req.Files, name), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Mode is none, host, pasta, bridge or ns.
func (n *Network) Mode() string { return n.req.Network.Mode }

// MayHavePasta tells, before Connect, whether the network may get a pasta of its own. One whose ports
// the pasta of the user's networks is to have gets its own where that cannot be told of them.
func (n *Network) MayHavePasta() bool {
	return n.req.Network.Mode == spec.NetPasta || n.bridge != nil && (n.bridge.Routed || n.bridge.Forward != nil)
}

// Path is the network namespace, at once; empty for the host's. It is there once Made says so.
func (n *Network) Path() string { return n.result.Path }

// Open opens the network namespace, once Made says that it is there; nil is the host's. It fails
// where the network is that of a container which has ended.
func (n *Network) Open() (*os.File, error) {
	switch {
	case n.result.Path == "":
		return nil, nil
	case n.req.Joined != nil:
		return n.req.Joined.Open()
	}
	return netns.Open(n.result.Path)
}

// ResolvConf is the file resolv.conf, which is there at once.
func (n *Network) ResolvConf() string { return filepath.Join(n.req.Files, resolvFile) }

// Made returns when the namespace is there, or cannot be made. Wait tells whether the network in it
// works.
func (n *Network) Made() error {
	<-n.made
	return n.nsErr
}

// Connect begins to make the network work, and goes on meanwhile: pasta takes 15 ms of a
// processor's time. rootfs is the container's root, of which /etc/hosts may be wanted, or empty
// for a pod.
func (n *Network) Connect(ctx context.Context, rootfs string) {
	n.begin.Do(func() {
		go func() {
			defer close(n.done)
			n.err = n.work(ctx, rootfs)
		}()
	})
}

func (n *Network) work(ctx context.Context, rootfs string) error {
	if err := n.Made(); err != nil {
		return err
	}
	if n.ns != nil {
		if err := n.connect(ctx); err != nil {
			return err
		}
	}
	return n.writeFiles(rootfs)
}

// writeFiles gives hosts and resolv.conf their contents: those of the container whose network is
// joined, where nothing else was asked for.
func (n *Network) writeFiles(rootfs string) error {
	hosts, resolv, j := filepath.Join(n.req.Files, hostsFile), filepath.Join(n.req.Files, resolvFile), n.req.Joined
	var err error
	switch h := n.req.Hosts; {
	case h == nil:
	case j != nil:
		err = j.WriteHosts(hosts, h.Entries, h.Names, n.result.IPs, n.result.Host)
	default:
		err = h.write(hosts, n.result, rootfs, n.req.Config)
	}
	if err != nil {
		return err
	}
	switch r := n.req.Resolver; {
	case r == nil:
	case j != nil && len(r.Servers)+len(r.Search)+len(r.Options) == 0:
		return j.WriteResolvConf(resolv)
	default:
		return r.write(resolv, n.result, n.req.Config)
	}
	return nil
}

// Wait returns when the network works and its files have their contents, or when it cannot be made
// to; it calls Connect and Rejoin. After an error Close takes down what there is: a process may be
// using the namespace.
func (n *Network) Wait(ctx context.Context, rootfs string) (Result, error) {
	n.Connect(ctx, rootfs)
	<-n.done
	if n.err != nil {
		return Result{}, n.err
	}
	return n.result, n.Rejoin(ctx)
}

// Rejoin connects again if the namespace of a user's networks was lost since. Who makes that anew
// connects the containers and pods whose process is noted. So a start calls Rejoin when it has noted
// its process, after Wait: a loss before that it sees here, and a later one the unit of the
// namespace mends.
func (n *Network) Rejoin(ctx context.Context) error {
	if n.bridge == nil || !n.bridge.Lost() {
		return nil
	}
	again, err := reconnect(ctx, n.req.Dir, n.Open, n.req.Bridge.Servers)
	if again != nil {
		n.bridge = again
	}
	return err
}

// Close takes the network down, whether it works or not. It waits for a pasta that is starting,
// which would come up after it otherwise. Safe to repeat.
func (n *Network) Close() error {
	n.begin.Do(func() { // and now nothing begins any more
		defer close(n.done)
		if n.Made() == nil && n.ns != nil {
			n.ns.Close() // pasta would have had it
		}
	})
	if n.bridge != nil {
		n.bridge.Settle() // or what is under way would wait for the namespace of all networks
	}
	<-n.done
	_ = n.Made() // a fault of a network that nobody wants
	return Release(n.req.Dir)
}

// connect makes the namespace reach others.
func (n *Network) connect(ctx context.Context) error {
	defer n.ns.Close()
	if n.req.Network.Mode == spec.NetBridge {
		return n.connectBridge(ctx)
	}
	return n.pasta(ctx)
}

func (n *Network) pasta(ctx context.Context) error {
	got, err := startPasta(ctx, n.req, n.ns, n.result.Ports)
	if err != nil {
		return err
	}
	if n.req.Started != nil {
		if err := n.req.Started(got.pid); err != nil {
			return err
		}
	}
	ips, err := netns.Addresses(n.ns)
	if err != nil {
		return err
	}
	n.result.IPs = ips
	n.result.PastaPID, n.result.Control, n.result.Refused = got.pid, got.control, got.refused
	n.result.DNS = sameFamily(got.dns, ips)
	host := ""
	if same := sameFamily(got.host, ips); len(same) > 0 {
		host = same[0]
	}
	n.result.Host = hostAddress(n.req.Config, host, ips)
	return nil
}

// Release takes back what Start made of the request whose Dir this is: pasta
// ends, named networks are left, the namespace goes with its last process. Nothing there is no error.
func Release(dir string) error {
	err := stopPasta(dir)
	err = errors.Join(err, netavark.Disconnect(dir))
	return errors.Join(err, netns.Drop(filepath.Join(dir, netnsFile)))
}

// PublishError says that a network cannot publish ports.
type PublishError struct{ Mode string }

func (e PublishError) Error() string {
	return fmt.Sprintf("network %s cannot publish ports", e.Mode)
}

// Hint is the way out.
func (e PublishError) Hint() string {
	if e.Mode == spec.NetHost {
		return "on the host's network the container's own ports are the host's: leave --publish out"
	}
	if e.Mode == spec.NetNone {
		return "use --network pasta, or leave --publish out"
	}
	return "publish the ports where the network namespace was made: on the pod, or the other container"
}
