// SPDX-License-Identifier: Apache-2.0

// Package network gives a container or a pod its network: a namespace of its
// own, without anything (none) or connected through pasta, or somebody else's.
// What it makes it can take away again, also in another process and after a
// crash: all it needs to know lies in the container's runtime directory.
package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

// Request is what a container or pod wants.
type Request struct {
	// Network has mode none, host, pasta or ns. The caller has turned the
	// others, which need to know other containers, into one of these.
	Network spec.Network
	// Ports to publish; only pasta can.
	Ports []spec.PortMapping
	// Dir is the runtime directory of the container or pod, on a tmpfs. It gets
	// the files netns, pasta.pid and pasta.work.
	Dir string
	// Root tells that we are the host's root, and not just root in a user namespace.
	Root bool
	// Config is containers.conf(5): helper_binaries_dir, pasta_options,
	// default_sysctls, host_containers_internal_ip.
	Config *config.Config
}

// Result is the network as it has come to be.
type Result struct {
	// Path of the network namespace; empty for the host's.
	Path string
	// IPs of the container, IPv4 first.
	IPs []netip.Addr
	// Ports as published: each has a host port.
	Ports []spec.PortMapping
	// DNS are addresses inside that lead to the host's resolver.
	DNS []string
	// Host is the address of the host as seen from inside; empty if none is known.
	Host string
	// PastaPID is that of pasta, 0 if there is none.
	PastaPID int
}

// Names of what lies in Request.Dir.
const (
	netnsFile = "netns"      // where the namespace is mounted, as far as the runner's mount namespace reaches
	pidFile   = "pasta.pid"  // decimal and a newline, written by pasta itself
	workFile  = "pasta.work" // the directory that pasta saw instead of Request.Dir, if it did
)

// Pending is a network that is being made.
type Pending struct {
	path    string
	dir     string
	made    chan struct{} // closed when the namespace is there, or nsErr says why not
	nsErr   error
	begin   sync.Once
	connect func()        // by pasta; nil if there is nothing to connect
	done    chan struct{} // closed when the network works, or err says why not
	err     error
	result  Result
}

// Start begins to make the namespace, which takes a millisecond. Wait or Close must be
// called, and Release takes everything back.
//
// It must run in a mount namespace that is private to this process.
func Start(ctx context.Context, req Request) (*Pending, error) {
	mode := req.Network.Mode
	if len(req.Ports) > 0 && mode != spec.NetPasta {
		return nil, PublishError{Mode: mode}
	}
	p := &Pending{dir: req.Dir, made: make(chan struct{}), done: make(chan struct{})}
	switch mode {
	case spec.NetHost:
		p.result.Host = hostAddress(req.Config, "127.0.0.1", nil)
		close(p.made)
		return p, nil
	case spec.NetNS:
		ns, err := netns.Open(req.Network.Path)
		if err != nil {
			return nil, err
		}
		defer ns.Close()
		ips, err := netns.Addresses(ns)
		if err != nil {
			return nil, fmt.Errorf("network namespace %s: %w", req.Network.Path, err)
		}
		p.path = req.Network.Path
		p.result = Result{Path: p.path, IPs: ips, Host: hostAddress(req.Config, "", ips)}
		close(p.made)
		return p, nil
	case spec.NetNone, spec.NetPasta:
	default:
		return nil, fmt.Errorf("network mode %q is not for a namespace of one's own", mode)
	}
	var ports []spec.PortMapping
	if mode == spec.NetPasta {
		var err error
		if ports, err = AssignPorts(req.Ports); err != nil {
			return nil, err
		}
	}
	p.path = filepath.Join(req.Dir, netnsFile)
	p.result = Result{Path: p.path, Ports: ports}
	var ns *os.File
	if mode == spec.NetPasta {
		p.connect = func() {
			defer ns.Close()
			p.err = p.pasta(ctx, req, ns)
		}
	}
	go func() {
		defer close(p.made)
		if ns, p.nsErr = netns.New(p.path, sysctls(req.Config)); p.nsErr == nil && p.connect == nil {
			ns.Close()
		}
	}()
	return p, nil
}

// Path is the network namespace, at once; empty for the host's. It is there once Made says so.
func (p *Pending) Path() string { return p.path }

// Made returns when the namespace is there, or cannot be made. Whether the network in it
// comes to work, Wait tells.
func (p *Pending) Made() error {
	<-p.made
	return p.nsErr
}

// Connect has pasta connect the namespace, which takes 15 ms of a processor's time and
// goes on meanwhile.
func (p *Pending) Connect() {
	p.begin.Do(func() {
		go func() {
			defer close(p.done)
			if p.err = p.Made(); p.err == nil && p.connect != nil {
				p.connect()
			}
		}()
	})
}

// Wait returns when the network works, or cannot be made to; it calls Connect. What there is
// after an error is Close's to take down: somebody may be using the namespace.
func (p *Pending) Wait() (Result, error) {
	p.Connect()
	<-p.done
	if p.err != nil {
		return Result{}, p.err
	}
	return p.result, nil
}

// Close takes the network down, whatever has become of it. It waits for what is under way,
// or pasta would come up after it.
func (p *Pending) Close() error {
	p.begin.Do(func() { close(p.done) }) // and now nothing begins any more
	<-p.done
	_ = p.Made() // a fault of a network that nobody wants
	return Release(p.dir)
}

func (p *Pending) pasta(ctx context.Context, req Request, ns *os.File) error {
	got, err := startPasta(ctx, req, ns, p.result.Ports)
	if err != nil {
		return err
	}
	ips, err := netns.Addresses(ns)
	if err != nil {
		return err
	}
	p.result.IPs = ips
	p.result.PastaPID = got.pid
	p.result.DNS = sameFamily(got.dns, ips)
	host := ""
	if same := sameFamily(got.host, ips); len(same) > 0 {
		host = same[0]
	}
	p.result.Host = hostAddress(req.Config, host, ips)
	return nil
}

// Release takes back what Start made of the request whose Dir this is: pasta
// ends, the namespace goes with its last process. Nothing there is no error.
func Release(dir string) error {
	err := stopPasta(dir)
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
