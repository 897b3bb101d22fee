// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// PortMapping publishes a range of ports of the container on the host.
type PortMapping struct {
	// HostIP is the zero Addr for all addresses of the host.
	HostIP netip.Addr
	// HostPort is the first port on the host; zero means any free port.
	HostPort uint16
	// ContainerPort is the first port in the container.
	ContainerPort uint16
	// Range is the number of ports, at least 1.
	Range uint16
	// Protocol is tcp, udp, or sctp, which only root's named networks forward.
	Protocol string
}

// PortRange is a range of ports of the container.
type PortRange struct {
	First uint16
	// Range is the number of ports, at least 1.
	Range uint16
	// Protocol is tcp, udp or sctp.
	Protocol string
}

// ParsePort reads [[ip:][hostPort]:]containerPort[/protocol]; ports may be
// ranges a-b of the same length, an IPv6 address stands in brackets, and host
// port 0 is any free port. Source: podman-run(1), --publish.
func ParsePort(s string) (PortMapping, error) {
	m := PortMapping{Protocol: "tcp"}
	rest, proto, found := strings.Cut(s, "/")
	if found {
		p, err := protocol(proto)
		if err != nil {
			return m, err
		}
		m.Protocol = p
	}
	host, cport := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		host, cport = rest[:i], rest[i+1:]
	}
	first, n, err := portRange(cport)
	if err != nil {
		return m, fmt.Errorf("container port: %w", err)
	}
	m.ContainerPort, m.Range = first, n
	if host == "" {
		return m, nil
	}
	hport := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 || strings.HasPrefix(host, "[") {
		ip := host
		hport = ""
		if i >= 0 && !strings.HasSuffix(host, "]") {
			ip, hport = host[:i], host[i+1:]
		}
		if strings.HasPrefix(ip, "[") && strings.HasSuffix(ip, "]") {
			ip = ip[1 : len(ip)-1]
		} else if strings.Contains(ip, ":") {
			return m, fmt.Errorf("an IPv6 address stands in brackets: [%s]", ip)
		}
		if ip != "" {
			if m.HostIP, err = netip.ParseAddr(ip); err != nil {
				return m, fmt.Errorf("%q is not an IP address", ip)
			}
		}
	} else if ip, err := netip.ParseAddr(host); err == nil {
		m.HostIP, hport = ip, "" // 127.0.0.1:80: any host port on that address
	}
	if hport == "" || hport == "0" {
		return m, nil
	}
	hfirst, hn, err := portRange(hport)
	if err != nil {
		return m, fmt.Errorf("host port: %w", err)
	}
	if hn != n {
		return m, fmt.Errorf("%s is %d ports on the host but %s is %d in the container", hport, hn, cport, n)
	}
	m.HostPort = hfirst
	return m, nil
}

// String is the mapping in the form ParsePort reads.
func (m PortMapping) String() string {
	var host string
	if m.HostIP.Is6() {
		host = fmt.Sprintf("[%s]:", m.HostIP)
	} else if m.HostIP.IsValid() {
		host = fmt.Sprintf("%s:", m.HostIP)
	}
	if m.HostPort != 0 {
		host += rangeString(m.HostPort, m.Range)
	}
	if host != "" {
		host += ":"
	}
	return host + rangeString(m.ContainerPort, m.Range) + "/" + m.Protocol
}

// ParsePortRange reads port[-port][/protocol]. Source: podman-run(1), --expose.
func ParsePortRange(s string) (PortRange, error) {
	r := PortRange{Protocol: "tcp"}
	ports, proto, found := strings.Cut(s, "/")
	var err error
	if found {
		if r.Protocol, err = protocol(proto); err != nil {
			return r, err
		}
	}
	r.First, r.Range, err = portRange(ports)
	return r, err
}

func protocol(s string) (string, error) {
	switch p := strings.ToLower(s); p {
	case "tcp", "udp", "sctp":
		return p, nil
	default:
		return "", fmt.Errorf("%q is not a protocol, tcp, udp and sctp are", s)
	}
}

func portRange(s string) (first, n uint16, err error) {
	from, to, isRange := strings.Cut(s, "-")
	first, err = port(from)
	if err != nil || !isRange {
		return first, 1, err
	}
	last, err := port(to)
	if err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("the range %s runs backwards", s)
	}
	return first, last - first + 1, nil
}

func port(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is not a port from 1 to 65535", s)
	}
	return uint16(n), nil
}

func rangeString(first, n uint16) string {
	if n <= 1 {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, int(first)+int(n)-1)
}
