// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"go.podman.io/common/libnetwork/types"
)

// Forward is how the ports of a user's container come to it where one pasta, that of the user's networks, listens for all:
// pesto(1) has pasta listen while it runs, and netavark's rules lead from there to the container. Its clients keep their
// addresses. Versions of passt before 2026-05 have no pesto: then a container that publishes has a pasta of its own.
type Forward struct {
	Pesto string              // the program
	Ports []types.PortMapping // as pasta listens; without an address on all
}

// pestoTime is how long pesto may take for one change.
const pestoTime = 10 * time.Second

// listen has pasta listen on the ports. control is pasta's socket.
func (f *Forward) listen(ctx context.Context, control string) error {
	return f.tell(ctx, control, "-A", f.Ports)
}

// leave has pasta no longer listen. Ports that it does not listen on, and a pasta that has ended, are no error.
func (f *Forward) leave(ctx context.Context, control string) {
	if f.tell(ctx, control, "-D", f.Ports) == nil {
		return
	}
	// It does nothing of what it is told if one part is not there.
	for i := range f.Ports {
		_ = f.tell(ctx, control, "-D", f.Ports[i:i+1])
	}
}

// tell calls pesto.
func (f *Forward) tell(ctx context.Context, control, verb string, ports []types.PortMapping) error {
	ctx, cancel := context.WithTimeout(ctx, pestoTime)
	defer cancel()
	words := []string{verb}
	for _, p := range ports {
		words = append(words, map[string]string{"tcp": "-t", "udp": "-u"}[p.Protocol], listens(p))
	}
	cmd := exec.CommandContext(ctx, f.Pesto, append(words, control)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("pesto %s: %s (%w)", verb, strings.Join(strings.Fields(string(out)), " "), err)
	}
	return nil
}

// listens is a port as pesto takes it. In the namespace it is the same one: netavark's rules translate it. Source: pesto(1).
func listens(p types.PortMapping) string {
	s := strconv.Itoa(int(p.HostPort))
	if p.Range > 1 {
		s += "-" + strconv.Itoa(int(p.HostPort+p.Range-1))
	}
	if p.HostIP != "" {
		s = p.HostIP + "/" + s
	}
	return s
}

// ruled are the ports as netavark's rules have them in the user's namespace, where the addresses of the machine mean nothing.
func ruled(ports []types.PortMapping) []types.PortMapping {
	var out []types.PortMapping
	for _, p := range ports {
		p.HostIP = ""
		out = append(out, p)
	}
	return out
}

// SetForward has the ports of the connection come through the pasta of the user's networks, if that can be told. It reports
// whether they may: on one network only, which has a way out, and if no other container has one of the ports on another
// address of the machine, which the rules do not tell apart.
func (c *Connection) SetForward(s *Store, f *Forward) bool {
	if len(c.Networks) != 1 || c.Internal() || s.sharesPorts(c.ID, f.Ports) {
		return false
	}
	c.Forward, c.Ports = f, ruled(f.Ports)
	return true
}

func (s *Store) sharesPorts(id string, ports []types.PortMapping) bool {
	for _, other := range s.Connected() {
		if other.Forward == nil || other.ID == id {
			continue
		}
		for _, a := range other.Forward.Ports {
			for _, b := range ports {
				if a.Protocol == b.Protocol && a.HostPort < b.HostPort+b.Range && b.HostPort < a.HostPort+a.Range {
					return true
				}
			}
		}
	}
	return false
}

// Families tells which addresses a connection's only network has.
func (c *Connection) Families() (four, six bool) {
	for _, n := range c.Info {
		for _, subnet := range n.Subnets {
			if len(subnet.Subnet.IP.To4()) == net.IPv4len {
				four = true
			} else {
				six = true
			}
		}
	}
	return four, six
}

// forward has pasta listen. Where it cannot be told, which is known at the first setup only, the container is to have a pasta
// of its own: then the connection is Routed.
func (c *Connection) forward(ctx context.Context) error {
	if c.Forward == nil {
		return nil
	}
	h, ok := ReadShared(c.Shared)
	if !ok {
		return errors.New("the network namespace of the user's networks has ended")
	}
	if c.Begun && h.Control != "" {
		c.Forward.leave(ctx, h.Control)
	}
	err := errors.New("pasta of the user's networks takes no orders: it was started before pesto was installed")
	if h.Control != "" {
		if err = c.Forward.listen(ctx, h.Control); err == nil {
			return nil
		}
	}
	if c.Begun {
		return err
	}
	c.Forward, c.Ports, c.Routed = nil, nil, true
	return nil
}

// unforward has pasta no longer listen. A port is free for the next start when it returns.
func (c *Connection) unforward(ctx context.Context) {
	if c.Forward == nil {
		return
	}
	if h, ok := ReadShared(c.Shared); ok && h.Control != "" {
		c.Forward.leave(ctx, h.Control)
	}
}
