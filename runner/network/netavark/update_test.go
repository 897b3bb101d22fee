// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/hint"
	"go.podman.io/common/libnetwork/types"
)

// TestUpdate changes the name servers of a network that a container is on, and of one that nobody
// is on.
func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, `[ "$1" = --version ] && { echo netavark 1.4.0; exit; }
echo "$@" >>`+dir+`/args`)
	s.Rootless = false
	s.Config.Network.FirewallDriver = "none"
	for _, n := range []New{{Name: "a", DNS: []net.IP{net.IPv4(192, 0, 2, 1)}}, {Name: "idle"}, {Name: "mute", DisableDNS: true}} {
		if _, err := s.Create(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	c, err := s.Prepare(Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	files := filepath.Join(dir, "c")
	if err := errors.Join(os.MkdirAll(files, 0o700), os.MkdirAll(s.Records, 0o700), os.MkdirAll(c.dnsDir(), 0o700), c.save(files),
		os.Symlink(filepath.Join(files, recordFile), c.link()), os.WriteFile(filepath.Join(c.dnsDir(), "a"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "idle"} {
		if err := s.Update(context.Background(), name, "", []net.IP{net.IPv4(192, 0, 2, 2), net.IPv4(192, 0, 2, 3)}, []net.IP{net.IPv4(192, 0, 2, 1), net.IPv4(9, 9, 9, 9)}); err != nil {
			t.Fatal(err)
		}
		want := []string{"192.0.2.2", "192.0.2.3"}
		if n, err := s.Get(name); err != nil || !slices.Equal(n.NetworkDNSServers, want) {
			t.Errorf("%s: the file has %v, %v", name, n.NetworkDNSServers, err)
		}
	}
	if again, err := Read(files); err != nil || !slices.Equal(again.Info["a"].NetworkDNSServers, []string{"192.0.2.2", "192.0.2.3"}) {
		t.Errorf("the container would be connected again with %+v, %v", again.Info["a"], err)
	}
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	if want := "--config " + s.Run + " --rootless=false --aardvark-binary=/bin/true update --network-dns-servers 192.0.2.2,192.0.2.3 a\n"; string(args) != want {
		t.Errorf("netavark was called with\n%swant\n%s", args, want)
	}
	// The last ones: 1.4 cannot tell aardvark-dns, if that serves the network.
	both := []net.IP{net.IPv4(192, 0, 2, 2), net.IPv4(192, 0, 2, 3)}
	if err := s.Update(context.Background(), "a", "", nil, both); !errors.As(err, &TooOldError{}) {
		t.Errorf("a, in use: %v", err)
	}
	if n, err := s.Get("a"); err != nil || len(n.NetworkDNSServers) != 2 {
		t.Errorf("a refused change: %v, %v", n.NetworkDNSServers, err)
	}
	if err := s.Update(context.Background(), "idle", "", nil, both); err != nil {
		t.Errorf("idle: %v", err)
	}
	if err := os.WriteFile(filepath.Join(c.dnsDir(), "idle"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(context.Background(), "idle", "", nil, both); err != nil {
		t.Errorf("in use, and there is nothing to drop: %v", err)
	}
	for name, want := range map[string]string{"mute": "has no name server", "nowhere": "network not found"} {
		if err := s.Update(context.Background(), name, "", []net.IP{net.IPv4(192, 0, 2, 2)}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOptionsOfAContainer has the options that a container gives on a network, by the version of
// netavark.
func TestOptionsOfAContainer(t *testing.T) {
	one := func(key, value string) Connection {
		e := Endpoint{Name: "a"}
		e.Options = map[string]string{key: value}
		return Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{e}}
	}
	for version, cases := range map[string]map[string]Connection{
		"1.4.0":  {"host_interface_name needs netavark 1.14, and 1.4 is installed": one(hostDevice, "v")},
		"1.14.0": {"": one(hostDevice, "v"), "interface name \"a/b\"": one(hostDevice, "a/b"), "driver bridge has no option colour": one("colour", "red")},
	} {
		s := newStore(t, `[ "$1" = --version ] && echo netavark `+version)
		if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
			t.Fatal(err)
		}
		for want, c := range cases {
			got := ""
			if _, err := s.Prepare(c); err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, want) || want == "" && got != "" {
				t.Errorf("%s: %q, want %q", version, got, want)
			}
		}
	}
}

// TestVersionOnce has two networks that need something newer: netavark is asked for its version once.
func TestVersionOnce(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	s := newStore(t, `[ "$1" = --version ] && echo >>`+asked+` && echo netavark 1.14.0`)
	c := Connection{ID: "0123456789abcdef", Name: "c"}
	for _, name := range []string{"a", "b"} {
		if _, err := s.Create(t.Context(), New{Name: name, Options: map[string]string{"isolate": "strict"}}); err != nil {
			t.Fatal(err)
		}
		c.Networks = append(c.Networks, Endpoint{Name: name})
	}
	if _, err := s.Prepare(c); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(asked); err != nil || string(got) != "\n" {
		t.Errorf("asked %d times, %v", len(got), err)
	}
}

// TestDHCPOpensTheNamespace: the DHCP client of netavark is another process, to which /proc/self is
// its own. What takes the connection back shows the device with its address, or the client keeps
// the lease.
func TestDHCPOpensTheNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	dir := t.TempDir()
	s := newStore(t, `PATH=/usr/sbin:/sbin:/usr/bin:/bin; cat >/dev/null; for last; do :; done
exec 3<&- # as another process has it
nsenter --net="$last" unshare --mount sh -c 'mount -t sysfs sys /sys && cat /sys/class/net/eth0/address' >`+dir+`/mac || exit; echo '{}'`)
	const mac = "0e:2b:a2:4a:aa:65"
	address, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	lan := types.Network{Name: "lan", Driver: Macvlan, IPAMOptions: map[string]string{types.Driver: types.DHCPIPAMDriver}}
	e := Endpoint{Name: "lan"}
	e.InterfaceName = "eth0"
	program, err := s.Program("netavark")
	if err != nil {
		t.Fatal(err)
	}
	c := &Connection{ID: "one", Networks: []Endpoint{e}, Info: map[string]*types.Network{"lan": &lan}, Run: s.Run, Netavark: program,
		Answer: map[string]types.StatusBlock{"lan": {Interfaces: map[string]types.NetInterface{"eth0": {MacAddress: types.HardwareAddr(address)}}}}}
	if err := c.teardown(context.Background(), func(do func() error) error { return do() }); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "mac")); err != nil || strings.TrimSpace(string(got)) != mac {
		t.Errorf("another process finds the device with %q, %v", got, err)
	}
}

// TestNoDHCP has nobody who asks for addresses: no socket, or a file in its place. With a socket it
// is netavark's turn.
func TestNoDHCP(t *testing.T) {
	s := newStore(t, version114)
	s.Rootless = false
	n, err := s.Create(t.Context(), New{Name: "lan", Driver: Macvlan, Interface: "lo"})
	if err != nil || n.IPAMOptions[types.Driver] != types.DHCPIPAMDriver {
		t.Fatalf("%+v, %v", n, err)
	}
	s.DHCP = filepath.Join(t.TempDir(), "socket")
	refused := func(what string) {
		t.Helper()
		_, err = s.Prepare(Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{{Name: "lan"}}})
		if no := (NoDHCPError{}); !errors.As(err, &no) || no.Socket != s.DHCP || !strings.Contains(no.Hint(), "netavark-dhcp-proxy.socket") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("nothing")
	if err := os.WriteFile(s.DHCP, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("a file")
	if err := os.Remove(s.DHCP); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", s.DHCP)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := s.Prepare(Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{{Name: "lan"}}}); err != nil {
		t.Errorf("a socket: %v", err)
	}
}

// TestNoNamespace has a user whose networks have no network namespace.
func TestNoNamespace(t *testing.T) {
	c := &Connection{LockFile: filepath.Join(t.TempDir(), "lock"), Rootless: true, Shared: t.TempDir()}
	servers := Servers{Namespace: "netns.service"}
	for verb, err := range map[string]error{
		"connect":    c.Add(t.Context(), t.TempDir(), nil, nil, servers),
		"disconnect": c.Leave(t.Context(), t.TempDir(), nil, "a", servers),
	} {
		if !errors.As(err, new(NoNamespaceError)) || hint.Of(err) != "systemctl --user start netns.service" {
			t.Errorf("%s: %v (%s)", verb, err, hint.Of(err))
		}
	}
}
