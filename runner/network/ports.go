// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/network/sockets"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// AssignPorts gives every mapping without a host port a free one, and makes sure
// that the others are free: pasta is content with a part of a range, and its
// message names the option, not the culprit. The error is a PortInUseError or
// PortDeniedError. It must run in the host's network namespace.
func AssignPorts(ports []spec.PortMapping) ([]spec.PortMapping, error) {
	out := slices.Clone(ports)
	for i, p := range out {
		if p.Range == 0 {
			out[i].Range = 1
		}
		if p.HostPort != 0 {
			if err := probe(out[i]); err != nil {
				return nil, err
			}
			for _, other := range out[:i] {
				if overlap(other, out[i]) {
					return nil, fmt.Errorf("ports %s and %s are the same on the host", other, out[i])
				}
			}
		}
	}
	for i := range out {
		if out[i].HostPort != 0 {
			continue
		}
		if err := freePort(&out[i], out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// freePort asks the kernel for a port until the whole range fits behind it.
func freePort(m *spec.PortMapping, all []spec.PortMapping) error {
	const tries = 50
	var last error
	for range tries {
		port, err := anyPort(*m)
		if err != nil {
			return err
		}
		try := *m
		try.HostPort = port
		if int(port)+int(m.Range)-1 > 65535 {
			continue
		}
		taken := slices.ContainsFunc(all, func(o spec.PortMapping) bool { return o.HostPort != 0 && overlap(o, try) })
		if taken {
			continue
		}
		if last = probe(try); last == nil {
			m.HostPort = port
			return nil
		}
	}
	return fmt.Errorf("no %d free ports in a row on the host for %s: %w", m.Range, m, last)
}

func overlap(a, b spec.PortMapping) bool {
	if a.Protocol != b.Protocol {
		return false
	}
	if !unspecified(a.HostIP) && !unspecified(b.HostIP) && a.HostIP != b.HostIP {
		return false
	}
	return int(a.HostPort) < int(b.HostPort)+int(b.Range) && int(b.HostPort) < int(a.HostPort)+int(a.Range)
}

func unspecified(ip netip.Addr) bool { return !ip.IsValid() || ip.IsUnspecified() }

// binds lists the addresses pasta will bind: without an address, both families.
func binds(ip netip.Addr) []netip.Addr {
	if ip.IsValid() {
		return []netip.Addr{ip}
	}
	return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
}

// probe tries to bind each port of the mapping.
func probe(m spec.PortMapping) error {
	for i := range m.Range {
		port := m.HostPort + i
		for _, ip := range binds(m.HostIP) {
			err := bind(ip, port, m.Protocol, nil)
			switch {
			case err == nil:
			case errors.Is(err, unix.EADDRINUSE):
				return PortInUseError{IP: m.HostIP, Port: port, Protocol: m.Protocol, Holder: holder(port, m.Protocol)}
			case errors.Is(err, unix.EACCES):
				return PortDeniedError{Port: port, Protocol: m.Protocol}
			case !m.HostIP.IsValid() && ip.Is6():
				// A machine without IPv6 publishes on IPv4.
			default:
				return fmt.Errorf("publish %s: %w", m, err)
			}
		}
	}
	return nil
}

func anyPort(m spec.PortMapping) (uint16, error) {
	var port uint16
	if err := bind(binds(m.HostIP)[0], 0, m.Protocol, &port); err != nil {
		return 0, fmt.Errorf("publish %s: %w", m, err)
	}
	return port, nil
}

// bind binds and lets go; got receives the port. A TCP port that only remembers
// old connections counts as free, as for any server; on UDP that option would
// let two servers have one port.
func bind(ip netip.Addr, port uint16, protocol string, got *uint16) error {
	family, kind, proto := unix.AF_INET, unix.SOCK_STREAM, 0
	if ip.Is6() {
		family = unix.AF_INET6
	}
	switch protocol {
	case "udp":
		kind = unix.SOCK_DGRAM
	case "sctp":
		proto = unix.IPPROTO_SCTP
	}
	s, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, proto)
	if errors.Is(err, unix.EPROTONOSUPPORT) && protocol == "sctp" && got == nil {
		return nil // no program of this machine speaks it, so that none has the port
	}
	if err != nil {
		return err
	}
	defer unix.Close(s)
	if kind == unix.SOCK_STREAM {
		if err := unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	var sa unix.Sockaddr
	if ip.Is4() {
		sa = &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}
	} else {
		if err := unix.SetsockoptInt(s, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
		zone := 0
		if ip.Zone() != "" {
			if i, err := net.InterfaceByName(ip.Zone()); err == nil {
				zone = i.Index
			}
		}
		sa = &unix.SockaddrInet6{Port: int(port), Addr: ip.As16(), ZoneId: uint32(zone)}
	}
	if err := unix.Bind(s, sa); err != nil {
		return err
	}
	if got == nil {
		return nil
	}
	name, err := unix.Getsockname(s)
	if err != nil {
		return err
	}
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		*got = uint16(n.Port)
	case *unix.SockaddrInet6:
		*got = uint16(n.Port)
	}
	return nil
}

// ErrPortInUse is what every PortInUseError is.
var ErrPortInUse = errors.New("the port is already in use")

// PortInUseError says that a port of the host has an owner already.
type PortInUseError struct {
	IP       netip.Addr // invalid for all addresses
	Port     uint16
	Protocol string
	Holder   string // what holds it, if that can be seen: "nginx (PID 12) of web.service"
}

func (e PortInUseError) Error() string {
	s := fmt.Sprintf("publish port %d/%s: %v", e.Port, e.Protocol, ErrPortInUse)
	if e.IP.IsValid() {
		s = fmt.Sprintf("publish port %s/%s: %v", netip.AddrPortFrom(e.IP, e.Port), e.Protocol, ErrPortInUse)
	}
	if e.Holder != "" {
		s += " by " + e.Holder
	}
	return s
}

// Is tells what it is.
func (PortInUseError) Is(target error) bool { return target == ErrPortInUse }

// Hint is the way out.
func (e PortInUseError) Hint() string {
	return fmt.Sprintf("see who has it: ss -lnp 'sport = :%d'; or publish another one: -p OTHER:…", e.Port)
}

// PortDeniedError says that the kernel keeps a low port for root.
type PortDeniedError struct {
	Port     uint16
	Protocol string
}

func (e PortDeniedError) Error() string {
	return fmt.Sprintf("publish port %d/%s: permission denied", e.Port, e.Protocol)
}

// Hint is the way out.
func (e PortDeniedError) Hint() string {
	return fmt.Sprintf("ports below net.ipv4.ip_unprivileged_port_start, 1024 by default, are root's; "+
		"publish a higher one, or as root: sysctl -w net.ipv4.ip_unprivileged_port_start=%d, for good in /etc/sysctl.d; "+
		"an application that takes sockets gets the port, without rights, from a .socket unit of the system with "+
		"ListenStream=%d whose service has User=", e.Port, e.Port)
}

// FirstPort is the lowest port that users without rights may bind: 1024 by default; zero when the
// kernel does not say. The file system proc is mounted at that path. Source: ip_sysctl,
// ip_unprivileged_port_start.
func FirstPort(proc string) int {
	data, err := os.ReadFile(filepath.Join(proc, "sys/net/ipv4/ip_unprivileged_port_start"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return n
}

// holder finds the program that has the port; empty if this user may not see it.
func holder(port uint16, protocol string) string {
	all := sockets.On(port, protocol)
	if len(all) == 0 {
		return ""
	}
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	for _, proc := range procs {
		n, err := strconv.Atoi(filepath.Base(proc))
		if err != nil || !sockets.Among(n, all) {
			continue
		}
		comm, err := os.ReadFile(proc + "/comm")
		if err != nil {
			continue
		}
		s := fmt.Sprintf("%s (PID %d)", strings.TrimSpace(string(comm)), n)
		if own, err := unit.Of(n); err == nil && own.Name != "" {
			s += " of " + own.Name
		}
		return s
	}
	return ""
}
