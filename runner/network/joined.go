// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
)

// Joined is the container whose network another one joins, with its files. The two ask the same name
// servers, or a container behind a VPN's network would ask servers outside of it, and know the same
// names. A path is empty if the other container has that file from its image.
type Joined struct {
	Hosts, ResolvConf string
	// Name is the container's, PID and Ticks its first process: see process.Alive.
	Name  string
	PID   int
	Ticks uint64
}

// Open opens its network namespace. The error is netns.ErrEnded if the container has ended since it
// was found.
func (j Joined) Open() (*os.File, error) {
	ns, err := netns.OpenOf(j.PID, j.Ticks)
	if err != nil {
		return nil, hint.With(fmt.Errorf("--network container:%s: %w", j.Name, err), "podunit start %s", j.Name)
	}
	return ns, nil
}

// WriteHosts writes the /etc/hosts of the container that joins: the entries that it asks for, what
// the other one has, and a line for its own names. host is the address of the machine.
func (j Joined) WriteHosts(path string, entries []spec.HostEntry, names []string, ips []netip.Addr, host string) error {
	theirs, err := read(j.Hosts)
	if err != nil {
		return fmt.Errorf("hosts: %w", err)
	}
	var data []byte
	for _, e := range entries {
		ip := e.IP.String()
		if e.Gateway {
			if ip = host; ip == "" {
				return NoHostAddressError{Names: e.Names}
			}
		}
		data = fmt.Appendf(data, "%s\t%s\n", ip, strings.Join(e.Names, " "))
	}
	data = append(data, theirs...)
	names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" || known(data, n) })
	if len(names) > 0 {
		ip := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if len(ips) > 0 {
			ip = ips[0]
		}
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(data, '\n')
		}
		data = fmt.Appendf(data, "%s\t%s\n", ip, strings.Join(names, " "))
	}
	return os.WriteFile(path, data, 0o644)
}

// WriteResolvConf writes the resolv.conf of the container that joins, which is that of the other
// one.
func (j Joined) WriteResolvConf(path string) error {
	data, err := read(j.ResolvConf)
	if err != nil {
		return fmt.Errorf("resolv.conf: %w", err)
	}
	return os.WriteFile(path, data, 0o644)
}

// read reads a file of the other container, which may have made it as large as it likes.
func read(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return safe.ReadFile(path, maxHosts)
}

// known reports whether a line of a hosts file has the name.
func known(hosts []byte, name string) bool {
	for line := range bytes.Lines(hosts) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		if f := strings.Fields(string(line)); len(f) > 1 && slices.Contains(f[1:], name) {
			return true
		}
	}
	return false
}
