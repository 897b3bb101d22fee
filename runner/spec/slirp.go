// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// slirp is the mode in whose place pasta connects the container.
const slirp = "slirp4netns"

// parseSlirp turns the options of slirp4netns into those of pasta that do the same. Source:
// podman-run(1) of Podman 5, --network.
func parseSlirp(options []string) (Network, error) {
	n := Network{Mode: NetPasta}
	cidr, host := "", false
	var idle []string
	for _, o := range options {
		key, value, ok := strings.Cut(o, "=")
		if !ok || value == "" {
			return n, fmt.Errorf("option %q of %s: want KEY=VALUE", o, slirp)
		}
		var err error
		switch key {
		case "allow_host_loopback":
			host, err = strconv.ParseBool(value)
		case "enable_ipv6":
			var v6 bool
			if v6, err = strconv.ParseBool(value); !v6 {
				n.Options = append(n.Options, "--ipv4-only")
			}
		case "mtu":
			_, err = strconv.ParseUint(value, 10, 16)
			n.Options = append(n.Options, "--mtu", value)
		case "cidr":
			cidr = value
		case "outbound_addr", "outbound_addr6":
			n.Options = append(n.Options, outbound(key, value)...)
		case "port_handler":
			if !slices.Contains([]string{"rootlesskit", "slirp4netns"}, value) {
				err = errors.New("it is rootlesskit or slirp4netns")
			}
			idle = append(idle, o)
		default:
			err = errors.New("there is no such option")
		}
		if err != nil {
			return n, fmt.Errorf("option %q of %s: %w", o, slirp, err)
		}
	}
	if cidr == "" && host {
		cidr = "10.0.2.0/24" // the application asks for the machine at 10.0.2.2
	}
	if cidr != "" {
		inside, err := slirpSubnet(cidr)
		if err != nil {
			return n, fmt.Errorf("option cidr of %s: %w", slirp, err)
		}
		n.Options = append(n.Options, inside...)
	}
	if host {
		n.Options = append(n.Options, "--map-gw")
	}
	n.Notice = "slirp4netns: pasta is used in its place"
	if len(idle) > 0 {
		n.Notice += ", where " + strings.Join(idle, " and ") + " has no meaning"
	}
	return n, nil
}

// outbound are the options for the address, or the device, from which connections go out.
func outbound(key, value string) []string {
	if _, err := netip.ParseAddr(value); err == nil {
		return []string{"--outbound", value}
	}
	if key == "outbound_addr6" {
		return []string{"--outbound-if6", value}
	}
	return []string{"--outbound-if4", value}
}

// slirpSubnet are the addresses that slirp4netns has in a subnet: the container is the 100th, the
// gateway the second. Source: slirp4netns(1), --cidr.
func slirpSubnet(cidr string) ([]string, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil || !p.Addr().Is4() || p.Bits() > 25 || p.Masked() != p {
		return nil, fmt.Errorf("%q is not an IPv4 subnet of at most 25 bits, such as 10.0.2.0/24", cidr)
	}
	base := p.Addr().As4()
	at := func(n byte) string {
		ip := base
		ip[3] += n
		return netip.AddrFrom4(ip).String()
	}
	return []string{"--address", at(100), "--netmask", strconv.Itoa(p.Bits()), "--gateway", at(2)}, nil
}
