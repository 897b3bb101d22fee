// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
	"go.podman.io/common/libnetwork/types"
)

// creation are the flags of network create.
type creation struct {
	ask                                    netavark.New
	subnets, gateways, ranges, routes, dns []string
	labels, options                        []string
	ignore                                 bool
}

// NewCreate makes podunit network create.
func NewCreate(e *cli.Env) *cobra.Command {
	var c creation
	cmd := &cobra.Command{
		Use:   "create [flags] [NAME]",
		Short: "Create a network",
		Long: `Create a network and print its name, the first free one of podman1, podman2 and so on if none is given.

Options of the driver bridge: mtu, vlan, isolate=BOOL|strict, metric, mode=managed|unmanaged, vrf, no_default_route=BOOL.
Of macvlan and ipvlan, which are root's: parent, mode, mtu, metric, bclim (macvlan), no_default_route.
What the installed netavark lacks is refused.`,
		Args: cli.WantArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				c.ask.Name = args[0]
			}
			if err := c.read(); err != nil {
				return err
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			made, err := x.Networks().Create(cmd.Context(), c.ask)
			if exists := (netavark.ExistsError{}); errors.As(err, &exists) && c.ignore {
				_, err = fmt.Fprintln(e.Stdout, exists.Name)
				return err
			}
			if err != nil {
				return err
			}
			e.Happened("network", "create", made.ID, made.Name)
			_, err = fmt.Fprintln(e.Stdout, made.Name)
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&c.ask.DisableDNS, "disable-dns", false, "no name server on the network")
	f.StringArrayVar(&c.dns, "dns", nil, "`IP` of a server that the network's name server asks")
	f.StringVarP(&c.ask.Driver, "driver", "d", "bridge", "bridge, macvlan or ipvlan")
	f.StringArrayVar(&c.gateways, "gateway", nil, "`IP` of the gateway of the subnet of the same position")
	f.BoolVar(&c.ignore, "ignore", false, "a network that is there already is no error")
	f.StringVar(&c.ask.Interface, "interface-name", "", "`NAME` of the bridge, or of the parent device")
	f.BoolVar(&c.ask.Internal, "internal", false, "no way out of the network")
	f.StringArrayVar(&c.ranges, "ip-range", nil, "`RANGE` of addresses to lease, CIDR or FIRST-LAST, in the subnet of the same position")
	f.StringVar(&c.ask.IPAM, "ipam-driver", "", "host-local, dhcp or none")
	f.BoolVar(&c.ask.IPv6, "ipv6", false, "an IPv6 subnet, too")
	f.StringArrayVar(&c.labels, "label", nil, "`KEY[=VALUE]` to find it by")
	f.StringArrayVarP(&c.options, "opt", "o", nil, "`KEY=VALUE` for the driver")
	f.StringArrayVar(&c.routes, "route", nil, "`DESTINATION,GATEWAY[,METRIC]` for the containers")
	f.StringArrayVar(&c.subnets, "subnet", nil, "`CIDR` of the network")
	return cmd
}

// read turns the words of the flags into a network.
func (c *creation) read() error {
	if n, err := spec.ParseNetwork(c.ask.Name); c.ask.Name != "" && err == nil && n.Mode != spec.NetNamed {
		return fmt.Errorf("cannot create network with name %q because it conflicts with a valid network mode", c.ask.Name)
	}
	if err := c.readSubnets(); err != nil {
		return err
	}
	var err error
	if c.ask.DNS, err = addresses("--dns", c.dns); err != nil {
		return err
	}
	if c.ask.Labels, err = cli.Assignments("--label", c.labels, false); err != nil {
		return err
	}
	if c.ask.Options, err = cli.Assignments("--opt", c.options, true); err != nil {
		return err
	}
	for _, r := range c.routes {
		route, err := readRoute(r)
		if err != nil {
			return fmt.Errorf("--route %q: %w", r, err)
		}
		c.ask.Routes = append(c.ask.Routes, route)
	}
	return nil
}

// addresses reads words of IP addresses with commas between them.
func addresses(flag string, words []string) ([]net.IP, error) {
	var all []net.IP
	for _, word := range words {
		for s := range strings.SplitSeq(word, ",") {
			ip := net.ParseIP(s)
			if ip == nil {
				return nil, fmt.Errorf("%s %q: it is not an IP address", flag, s)
			}
			all = append(all, ip)
		}
	}
	return all, nil
}

func (c *creation) readSubnets() error {
	for _, word := range c.subnets {
		subnet, err := types.ParseCIDR(word)
		if err != nil {
			return fmt.Errorf("--subnet %q: want an address and the length of its prefix, such as 10.89.7.0/24", word)
		}
		c.ask.Subnets = append(c.ask.Subnets, types.Subnet{Subnet: subnet})
	}
	if n := max(len(c.gateways), len(c.ranges)); n > len(c.subnets) {
		return fmt.Errorf("--gateway and --ip-range belong to the --subnet of the same position: there are %d of them, and %d subnets", n, len(c.subnets))
	}
	for i, word := range c.gateways {
		if c.ask.Subnets[i].Gateway = net.ParseIP(word); c.ask.Subnets[i].Gateway == nil {
			return fmt.Errorf("--gateway %q: it is not an IP address", word)
		}
	}
	for i, word := range c.ranges {
		r, err := readRange(word)
		if err != nil {
			return fmt.Errorf("--ip-range %q: %w", word, err)
		}
		c.ask.Subnets[i].LeaseRange = r
	}
	return nil
}

// readRange reads CIDR or FIRST-LAST.
func readRange(word string) (*types.LeaseRange, error) {
	if first, last, ok := strings.Cut(word, "-"); ok {
		r := &types.LeaseRange{StartIP: net.ParseIP(first), EndIP: net.ParseIP(last)}
		if r.StartIP == nil || r.EndIP == nil {
			return nil, errors.New("want FIRST-LAST, two addresses")
		}
		return r, nil
	}
	_, subnet, err := net.ParseCIDR(word)
	if err != nil {
		return nil, errors.New("want an address and the length of its prefix, or FIRST-LAST")
	}
	last := slices.Clone(subnet.IP)
	for i := range last {
		last[i] |= ^subnet.Mask[i]
	}
	return &types.LeaseRange{StartIP: subnet.IP, EndIP: last}, nil
}

// readRoute reads DESTINATION,GATEWAY[,METRIC] or DESTINATION,TYPE.
func readRoute(word string) (types.Route, error) {
	var r types.Route
	parts := strings.Split(word, ",")
	if len(parts) < 2 || len(parts) > 3 {
		return r, errors.New("want DESTINATION,GATEWAY[,METRIC]")
	}
	var err error
	if r.Destination, err = types.ParseCIDR(parts[0]); err != nil {
		return r, fmt.Errorf("%q is not a subnet", parts[0])
	}
	if r.Gateway = net.ParseIP(parts[1]); r.Gateway == nil {
		r.RouteType = types.RouteType(parts[1])
		if !slices.Contains([]types.RouteType{types.RouteTypeBlackhole, types.RouteTypeUnreachable, types.RouteTypeProhibit}, r.RouteType) {
			return r, fmt.Errorf("%q is neither an IP address nor one of blackhole, unreachable, prohibit", parts[1])
		}
	}
	if len(parts) == 3 {
		metric, err := strconv.ParseUint(parts[2], 10, 32)
		if err != nil {
			return r, fmt.Errorf("%q is no metric", parts[2])
		}
		m := uint32(metric)
		r.Metric = &m
	}
	return r, nil
}
