// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/spec"
	"github.com/vishvananda/netlink"
	"go.podman.io/common/libnetwork/types"
)

// New is what is asked of a new network; the rest is filled in by Create.
type New struct {
	Name       string // empty for podmanN
	Driver     string // empty for bridge
	Interface  string // of the bridge, or the parent of the others
	Subnets    []types.Subnet
	Routes     []types.Route
	IPv6       bool
	Internal   bool
	DisableDNS bool
	DNS        []net.IP
	IPAM       string // host-local, dhcp or none; empty for what the driver has
	Options    map[string]string
	Labels     map[string]string
}

// maxName leaves room for the end of its file's name.
const maxName = 240

// Create makes a network: it fills in what was not asked for, and writes the file. A name that is
// taken is an ExistsError.
func (s *Store) Create(ctx context.Context, ask New) (types.Network, error) {
	var made types.Network
	err := s.withLock(ctx, func(context.Context) error {
		all, _, err := s.List()
		if err != nil {
			return err
		}
		if s.taken(ask.Name, all) {
			return ExistsError{Name: ask.Name, Default: ask.Name == s.Default()}
		}
		if made, err = s.complete(ask, all); err != nil {
			return err
		}
		if err := s.supported(made, Endpoint{}); err != nil {
			return err
		}
		return s.save(made)
	})
	return made, err
}

// taken reports whether there is a network of that name. The default one is there without a file,
// and a file that cannot be read takes its name as well.
func (s *Store) taken(name string, all []types.Network) bool {
	if name == s.Default() || slices.ContainsFunc(all, func(n types.Network) bool { return n.Name == name }) {
		return true
	}
	_, err := os.Stat(filepath.Join(s.Dir, name+".json"))
	return err == nil && name != ""
}

// complete fills in what a network needs.
func (s *Store) complete(ask New, all []types.Network) (types.Network, error) {
	n := types.Network{
		Name: ask.Name, Driver: ask.Driver, NetworkInterface: ask.Interface, Created: time.Now(), Subnets: ask.Subnets, Routes: ask.Routes,
		IPv6Enabled: ask.IPv6, Internal: ask.Internal, DNSEnabled: !ask.DisableDNS, Labels: ask.Labels, Options: map[string]string{},
		IPAMOptions: map[string]string{},
	}
	if n.Driver == "" {
		n.Driver = Bridge
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id) // it never fails
	n.ID = hex.EncodeToString(id)
	if n.Name != "" && !ValidName(n.Name) {
		return n, fmt.Errorf("network name %q: names match [a-zA-Z0-9][a-zA-Z0-9_.-]*", n.Name)
	}
	if len(n.Name) > maxName {
		return n, fmt.Errorf("a network's name of %d characters: it may have %d", len(n.Name), maxName)
	}
	if err := s.options(&n, ask.Options); err != nil {
		return n, err
	}
	links, err := net.Interfaces()
	if err != nil {
		return n, err
	}
	if err := s.device(&n, all, links); err != nil {
		return n, err
	}
	if n.Name == "" {
		n.Name = n.NetworkInterface
		if n.Driver != Bridge || slices.ContainsFunc(all, func(o types.Network) bool { return o.Name == n.Name }) {
			n.Name = s.freeDevice(all, nil)
		}
	}
	if n.Driver != Bridge {
		n.DNSEnabled = false
	}
	if err := ipam(&n, ask); err != nil {
		return n, err
	}
	if n.IPAMOptions[types.Driver] == types.HostLocalIPAMDriver {
		if err := s.addresses(&n, all); err != nil {
			return n, err
		}
	}
	if len(ask.DNS) > 0 && !n.DNSEnabled {
		return n, errors.New("--dns: the network has no name server; leave --disable-dns out, and take a bridge with addresses")
	}
	for _, ip := range ask.DNS {
		n.NetworkDNSServers = append(n.NetworkDNSServers, ip.String())
	}
	return n, checkRoutes(n)
}

// device finds the interface of a network.
func (s *Store) device(n *types.Network, all []types.Network, links []net.Interface) error {
	exists := func(name string) bool {
		return slices.ContainsFunc(links, func(l net.Interface) bool { return l.Name == name })
	}
	switch n.Driver {
	case Bridge:
		if n.NetworkInterface == "" {
			n.NetworkInterface = s.freeDevice(all, links)
			return nil
		}
		if err := spec.CheckDevice(n.NetworkInterface); err != nil {
			return err
		}
		if n.Options["vlan"] != "" || n.Options["mode"] == "unmanaged" {
			return nil
		}
		for _, o := range all {
			if o.Driver == Bridge && o.NetworkInterface == n.NetworkInterface {
				return fmt.Errorf("bridge name %s is already in use by network %s", n.NetworkInterface, o.Name)
			}
		}
	case Macvlan, Ipvlan:
		if s.Rootless {
			return fmt.Errorf("driver %s: only root can connect containers to a device of the host", n.Driver)
		}
		if n.NetworkInterface != "" && !exists(n.NetworkInterface) {
			return fmt.Errorf("parent interface %s does not exist", n.NetworkInterface)
		}
	default:
		for _, dir := range s.Config.Network.NetavarkPluginDirs.Get() {
			if st, err := os.Stat(filepath.Join(dir, n.Driver)); err == nil && st.Mode().IsRegular() && !strings.Contains(n.Driver, "/") {
				return fmt.Errorf("driver %s: plug-ins of netavark are not called; drivers are bridge, macvlan and ipvlan", n.Driver)
			}
		}
		return fmt.Errorf("unsupported driver %s: invalid argument; drivers are bridge, macvlan and ipvlan", n.Driver)
	}
	return nil
}

// freeDevice is the first name podmanN, from 1, that no network and no device has.
func (s *Store) freeDevice(all []types.Network, links []net.Interface) string {
	for i := 1; ; i++ {
		name := s.interfaces() + strconv.Itoa(i)
		taken := slices.ContainsFunc(all, func(n types.Network) bool { return n.Name == name || n.NetworkInterface == name }) ||
			slices.ContainsFunc(links, func(l net.Interface) bool { return l.Name == name })
		if !taken {
			return name
		}
	}
}

// ipam decides who gives addresses.
func ipam(n *types.Network, ask New) error {
	driver := ask.IPAM
	if driver == "" {
		driver = types.HostLocalIPAMDriver
		if n.Driver == Macvlan && len(n.Subnets) == 0 {
			driver = "dhcp"
		}
	}
	switch driver {
	case types.HostLocalIPAMDriver:
		if n.Driver == Ipvlan && len(n.Subnets) == 0 {
			return errors.New("driver ipvlan needs --subnet: it has no DHCP")
		}
	case "dhcp":
		if n.Driver == Ipvlan {
			return errors.New("ipam driver dhcp is not supported with ipvlan")
		}
		if n.Driver == Bridge && n.Options["mode"] != "unmanaged" {
			return errors.New("ipam driver dhcp needs a bridge with --opt mode=unmanaged, or driver macvlan")
		}
	case "none":
		n.DNSEnabled = false
	default:
		return fmt.Errorf("unsupported ipam driver %q: there are host-local, dhcp and none", driver)
	}
	if driver != types.HostLocalIPAMDriver && len(n.Subnets) > 0 {
		return fmt.Errorf("--subnet does not go together with ipam driver %s", driver)
	}
	n.IPAMOptions[types.Driver] = driver
	return nil
}

// addresses checks the subnets, and finds those that are missing.
func (s *Store) addresses(n *types.Network, all []types.Network) error {
	used, err := usedSubnets(all)
	if err != nil {
		return err
	}
	var v4, v6 bool
	for i := range n.Subnets {
		if err := checkSubnet(&n.Subnets[i], n.Internal && !n.DNSEnabled); err != nil {
			return err
		}
		subnet := n.Subnets[i].Subnet.IPNet
		// A network on a device of the host is in the subnet that the host is in.
		if n.Driver == Bridge && n.Options["mode"] != "unmanaged" && slices.ContainsFunc(used, func(u net.IPNet) bool { return meet(u, subnet) }) {
			return fmt.Errorf("subnet %s is already used on the host or by another config", subnet.String())
		}
		used = append(used, subnet)
		if subnet.IP.To4() != nil {
			v4 = true
		} else {
			v6 = true
		}
	}
	add := func(subnet net.IPNet) error {
		one := types.Subnet{Subnet: types.IPNet{IPNet: subnet}}
		err := checkSubnet(&one, n.Internal && !n.DNSEnabled)
		n.Subnets = append(n.Subnets, one)
		return err
	}
	if !v4 && (!v6 || n.IPv6Enabled && len(n.Subnets) == 0) {
		subnet, err := s.freeIPv4(used)
		if err != nil {
			return err
		}
		if err := add(subnet); err != nil {
			return err
		}
	}
	if n.IPv6Enabled && !v6 {
		if err := add(freeIPv6(used)); err != nil {
			return err
		}
	}
	n.IPv6Enabled = n.IPv6Enabled || v6
	return nil
}

// checkSubnet checks a subnet with its gateway and range; without says that it needs no gateway.
func checkSubnet(s *types.Subnet, without bool) error {
	if v4 := s.Subnet.IP.To4(); v4 != nil {
		s.Subnet.IP = v4
	}
	ones, bits := s.Subnet.Mask.Size()
	if !s.Subnet.IP.Equal(s.Subnet.IP.Mask(s.Subnet.Mask)) {
		return fmt.Errorf("subnet %s has bits beyond its mask; the network is %s/%d", s.Subnet.String(), s.Subnet.IP.Mask(s.Subnet.Mask), ones)
	}
	if bits == 32 && ones > 30 {
		return fmt.Errorf("subnet %s has no room for a container: /30 is the smallest", s.Subnet.String())
	}
	switch {
	case s.Gateway != nil && !s.Subnet.Contains(s.Gateway):
		return fmt.Errorf("gateway %s is not in subnet %s", s.Gateway, s.Subnet.String())
	case s.Gateway != nil:
		s.Gateway = short(s.Gateway)
	case !without:
		s.Gateway = first(s.Subnet.IPNet)
	}
	if r := s.LeaseRange; r != nil {
		for _, end := range []*net.IP{&r.StartIP, &r.EndIP} {
			if *end == nil {
				continue
			}
			if !s.Subnet.Contains(*end) {
				return fmt.Errorf("ip range: %s is not in subnet %s", *end, s.Subnet.String())
			}
			*end = short(*end)
		}
		if r.StartIP != nil && r.EndIP != nil && bytes.Compare(r.StartIP, r.EndIP) > 0 {
			return fmt.Errorf("ip range %s-%s ends before it begins", r.StartIP, r.EndIP)
		}
	}
	return nil
}

func checkRoutes(n types.Network) error {
	for _, r := range n.Routes {
		if r.Gateway != nil && n.Internal {
			return errors.New("--route does not go together with --internal")
		}
	}
	return nil
}

// usedSubnets are those of networks, and of devices and routes of the host.
func usedSubnets(all []types.Network) ([]net.IPNet, error) {
	var used []net.IPNet
	for _, n := range all {
		for _, s := range n.Subnets {
			used = append(used, s.Subnet.IPNet)
		}
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			used = append(used, net.IPNet{IP: n.IP.Mask(n.Mask), Mask: n.Mask})
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("routes of the host: %w", err)
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if ones, _ := r.Dst.Mask.Size(); ones > 0 {
			used = append(used, *r.Dst)
		}
	}
	return used, nil
}

func meet(a, b net.IPNet) bool { return a.Contains(b.IP) || b.Contains(a.IP) }

// freeIPv4 is the first subnet of the configured pools that meets none in use.
func (s *Store) freeIPv4(used []net.IPNet) (net.IPNet, error) {
	for _, pool := range s.Config.Network.DefaultSubnetPools {
		if pool.Base == nil {
			continue
		}
		try := net.IPNet{IP: short(pool.Base.IP), Mask: net.CIDRMask(pool.Size, 32)}
		for pool.Base.Contains(try.IP) {
			if !slices.ContainsFunc(used, func(u net.IPNet) bool { return meet(u, try) }) {
				return try, nil
			}
			following := after(try)
			if bytes.Compare(following, try.IP) <= 0 {
				break
			}
			try = net.IPNet{IP: following, Mask: try.Mask}
		}
	}
	return net.IPNet{}, errors.New("could not find free subnet from subnet pools; give one with --subnet")
}

// after is the first address behind a subnet.
func after(n net.IPNet) net.IP {
	last := slices.Clone(n.IP)
	for i := range last {
		last[i] |= ^n.Mask[len(n.Mask)-len(last)+i]
	}
	return next(last)
}

// freeIPv6 is a subnet of fd00::/8 that nobody else is likely to have. Source: RFC 4193.
func freeIPv6(used []net.IPNet) net.IPNet {
	for {
		ip := make(net.IP, net.IPv6len)
		_, _ = rand.Read(ip[:8]) // it never fails
		ip[0] = 0xfd
		try := net.IPNet{IP: ip, Mask: net.CIDRMask(64, 128)}
		if !slices.ContainsFunc(used, func(u net.IPNet) bool { return meet(u, try) }) {
			return try
		}
	}
}
