// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/network/sockets"
	"go.podman.io/common/libnetwork/types"
)

// Forward is how the ports of a user's container come to it where one pasta, that of the user's
// networks, listens for all: pesto(1) tells it, while it runs, on which ports to listen and to
// which address of a container they lead. The container sees the addresses of its clients. No rule
// of a firewall has a part in it. Versions of passt before 2026-05 have no pesto, and the first
// that have it know no address to lead to: then a container that publishes has a pasta of its own.
// So has one with UDP ports: pasta leads the datagrams of a client that it knows to the address
// that they went to first, for as long as they come, and the container may have another one by then.
type Forward struct {
	Pesto   string // the program
	Network string // the one whose addresses the ports lead to
	// Ports as pasta is to listen on them: TCP, each on an address, and so for one family.
	Ports []types.PortMapping
	// Told is what pasta was told, or may have been.
	Told []rule `json:",omitempty"`
}

// A rule leads TCP ports of the machine to as many of a container.
type rule struct {
	Listen netip.AddrPort
	Target netip.AddrPort
	Range  uint16 // how many, from 1
}

// String is the rule as pesto takes it. Source: pesto(1), --tcp-ports.
func (r rule) String() string { return r.side(r.Listen) + ":" + r.side(r.Target) }

func (r rule) side(at netip.AddrPort) string {
	ip := at.Addr().String()
	if at.Addr().Is6() {
		ip = "[" + ip + "]"
	}
	if r.Range > 1 {
		return fmt.Sprintf("%s/%d-%d", ip, at.Port(), int(at.Port())+int(r.Range)-1)
	}
	return fmt.Sprintf("%s/%d", ip, at.Port())
}

// meets reports whether a port of the machine is in both rules.
func (r rule) meets(o rule) bool {
	ours, theirs := int(r.Listen.Port()), int(o.Listen.Port())
	return r.Listen.Addr() == o.Listen.Addr() && ours < theirs+int(o.Range) && theirs < ours+int(r.Range)
}

// portsOf are the ports of the machine that rules lead on.
func portsOf(rules []rule) (all []netip.AddrPort) {
	for _, r := range rules {
		for i := range r.Range {
			all = append(all, netip.AddrPortFrom(r.Listen.Addr(), r.Listen.Port()+i))
		}
	}
	return all
}

// heldOf returns the first of the ports on which a process listens; not valid if there is none.
func heldOf(ports []netip.AddrPort, pid int) netip.AddrPort {
	return firstWhere(ports, sockets.Of(pid, "tcp").Has)
}

// freeOf returns the first of the ports on which it does not.
func freeOf(ports []netip.AddrPort, pid int) netip.AddrPort {
	its := sockets.Of(pid, "tcp")
	return firstWhere(ports, func(at netip.AddrPort) bool { return !its.Has(at) })
}

func firstWhere(ports []netip.AddrPort, is func(netip.AddrPort) bool) netip.AddrPort {
	if i := slices.IndexFunc(ports, is); i >= 0 {
		return ports[i]
	}
	return netip.AddrPort{}
}

// rules are those for the ports of a Forward, to the addresses that the container has.
func (f *Forward) rules(ips []net.IP) ([]rule, error) {
	var all []rule
	for _, p := range f.Ports {
		listen, err := netip.ParseAddr(p.HostIP)
		if err != nil {
			return nil, err
		}
		r := rule{Listen: netip.AddrPortFrom(listen, p.HostPort), Range: max(1, p.Range)}
		for _, ip := range ips {
			if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap().Is4() == listen.Is4() && !r.Target.IsValid() {
				r.Target = netip.AddrPortFrom(a.Unmap(), p.ContainerPort)
			}
		}
		if !r.Target.IsValid() {
			return nil, fmt.Errorf("publish %s: the container has no address of this family", r.side(r.Listen))
		}
		all = append(all, r)
	}
	return all, nil
}

// pestoTime is how long pasta may take for one change.
const pestoTime = 30 * time.Second

// tell has pesto tell pasta rules, and returns when done is true, or pasta has dealt with them.
func (f *Forward) tell(ctx context.Context, control, verb string, rules []rule, done func() bool) error {
	words := []string{verb}
	for _, r := range rules {
		words = append(words, "-t", r.String())
	}
	if err := f.call(ctx, append(words, control)...); err != nil {
		return err
	}
	const looks = 10
	for i := 0; i < looks && ctx.Err() == nil; i++ { // pasta is quick, but pesto does not wait for it
		if done() {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	// This shows pasta's configuration. pasta serves one client after the other.
	return f.call(ctx, control)
}

func (f *Forward) call(ctx context.Context, words ...string) error {
	cmd := exec.CommandContext(ctx, f.Pesto, words...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %s (%w)", f.Pesto, strings.Join(words, " "), strings.Join(strings.Fields(string(out)), " "), err)
	}
	return nil
}

// forward has pasta listen for the connection. Where that fails, a container that has no process
// yet is to have a pasta of its own: then the connection is Routed. The caller has the lock.
func (c *Connection) forward(ctx context.Context, dir string) error {
	if c.Forward == nil {
		return nil
	}
	err := c.listen(ctx, dir)
	if err == nil {
		return nil
	}
	if lerr := c.unforward(); lerr != nil || c.read {
		return errors.Join(err, lerr)
	}
	c.Forward, c.Routed = nil, true
	return nil
}

// listen tells pasta, and looks whether it listens.
func (c *Connection) listen(ctx context.Context, dir string) error {
	if err := c.unforward(); err != nil { // of an earlier setup
		return err
	}
	h, ok := ReadShared(c.Shared)
	if !ok {
		return errors.New("the network namespace of the user's networks has ended")
	}
	if h.Control == "" {
		return errors.New("pasta of the user's networks takes no orders: it was started before pesto was installed, or may not make a socket for it")
	}
	i := slices.IndexFunc(c.Networks, func(e Endpoint) bool { return e.Name == c.Forward.Network })
	if i < 0 {
		return fmt.Errorf("the published ports of %s lead to network %s, and it is not on it", c.Name, c.Forward.Network)
	}
	rules, err := c.Forward.rules(c.Networks[i].StaticIPs)
	if err != nil {
		return err
	}
	ports := portsOf(rules)
	// What is noted as told is ours alone, so that unforward can go by what pasta listens on. We
	// have the lock: nobody else tells pasta meanwhile.
	for _, other := range (&Store{Records: c.Records}).Connected() {
		if other.ID == c.ID || other.Forward == nil {
			continue
		}
		for _, r := range rules {
			if slices.ContainsFunc(other.Forward.Told, r.meets) {
				return fmt.Errorf("publish %s: pasta of the user's networks was told to listen on it for %s", r.side(r.Listen), other.Name)
			}
		}
	}
	if at := heldOf(ports, h.Pasta); at.IsValid() { // because of pasta_options
		return fmt.Errorf("publish %s: pasta of the user's networks listens on it already", at)
	}
	c.Forward.Told = rules
	if err := c.save(dir); err != nil { // whoever cleans up after us must know
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pestoTime)
	defer cancel()
	if err := c.Forward.tell(ctx, h.Control, "-A", rules, func() bool { return !freeOf(ports, h.Pasta).IsValid() }); err != nil {
		return err
	}
	if at := freeOf(ports, h.Pasta); at.IsValid() { // somebody else may have taken it
		return fmt.Errorf("publish %s: pasta of the user's networks could not listen on it", at)
	}
	return nil
}

// unforward has pasta no longer listen for the connection. The ports are free when it returns. That
// pasta does not know of a port, or has ended, is no error: what pasta listens on decides.
func (c *Connection) unforward() error {
	if c.Forward == nil || len(c.Forward.Told) == 0 {
		return nil
	}
	told := c.Forward.Told
	h, ok := ReadShared(c.Shared)
	if !ok || h.Control == "" {
		c.Forward.Told = nil // the pasta that was told has ended with its namespace
		return nil
	}
	// The caller's time may be what has run out.
	ctx, cancel := context.WithTimeout(context.Background(), pestoTime)
	defer cancel()
	tell := func(rules []rule) error {
		return c.Forward.tell(ctx, h.Control, "-D", rules, func() bool { return !heldOf(portsOf(rules), h.Pasta).IsValid() })
	}
	err := tell(told)
	if err != nil {
		// pesto does nothing of what it is told if one part is not there.
		for i := range told {
			err = errors.Join(err, tell(told[i:i+1]))
		}
	}
	at := heldOf(portsOf(told), h.Pasta)
	switch {
	case at.IsValid():
		err = fmt.Errorf("pasta of the user's networks keeps published ports, as %s: %w", at, cmp.Or(err, errors.New("it was told to let go of them")))
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("pasta of the user's networks does not answer, and may yet listen on published ports: %w", err)
	default:
		c.Forward.Told = nil
		return nil
	}
	return hint.With(err, "systemctl --user restart podunit-netns.service connects all containers again")
}

// moveForward has the ports lead to another of the networks, since the connection is to leave the
// one to which they lead. If none can take them, all stays as it is. The caller has the lock.
func (c *Connection) moveForward(ctx context.Context, dir string) error {
	from := c.Forward.Network
	i := slices.IndexFunc(c.Networks, func(e Endpoint) bool {
		if n := c.Info[e.Name]; e.Name == from || n.Internal || !leased(*n) {
			return false
		}
		_, err := c.Forward.rules(e.StaticIPs)
		return err == nil
	})
	if i < 0 {
		return hint.With(fmt.Errorf("the published ports of %s lead to network %s, and none of its other networks can take them", c.Name, from),
			"connect it to one first that is not internal, and has IPv6 if %s has: podunit network connect NETWORK %s", from, c.Name)
	}
	c.Forward.Network = c.Networks[i].Name
	err := c.listen(ctx, dir)
	if err != nil {
		c.Forward.Network = from
		err = errors.Join(err, c.listen(ctx, dir))
	}
	return errors.Join(err, c.save(dir))
}

// SetForward has the ports of the connection come through the pasta of the user's networks, if that
// can be: on one network only, which has a way out and addresses that we give.
func (c *Connection) SetForward(f *Forward) {
	if len(c.Networks) != 1 || c.Internal() || !leased(*c.Info[c.Networks[0].Name]) {
		return
	}
	f.Network = c.Networks[0].Name
	c.Forward, c.Routed = f, false
}

// Families tells which addresses a connection's networks have.
func (c *Connection) Families() (four, six bool) {
	for _, n := range c.Info {
		for _, subnet := range n.Subnets {
			if subnet.Subnet.IP.To4() != nil {
				four = true
			} else {
				six = true
			}
		}
	}
	return four, six
}
