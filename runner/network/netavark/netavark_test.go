// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/process"
	"github.com/vishvananda/netlink"
	"go.etcd.io/bbolt"
	"go.podman.io/common/libnetwork/types"
	"go.podman.io/common/pkg/config"
	"golang.org/x/sys/unix"
)

// newStore is a store in a directory of its own, of a user. Its netavark is a script.
func newStore(t *testing.T, script string) *Store {
	t.Helper()
	dir := t.TempDir()
	conf := &config.Config{}
	conf.Network.DefaultNetwork = "podman"
	conf.Network.DefaultSubnetPools = config.DefaultSubnetPools
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "netavark"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	conf.Engine.HelperBinariesDir.Set([]string{bin})
	return &Store{
		Dir: filepath.Join(dir, "networks"), LockFile: filepath.Join(dir, "networks", "netavark.lock"), Run: filepath.Join(dir, "run"),
		Records: filepath.Join(dir, "connected"), Rootless: true, Config: conf,
	}
}

const version114 = `[ "$1" = --version ] && echo netavark 1.14.0`

func cidr(t *testing.T, s string) types.Subnet {
	t.Helper()
	n, err := types.ParseCIDR(s)
	if err != nil {
		t.Fatal(err)
	}
	return types.Subnet{Subnet: n}
}

func TestCreateFillsIn(t *testing.T) {
	s := newStore(t, version114)
	one, err := s.Create(t.Context(), New{})
	if err != nil {
		t.Fatal(err)
	}
	if one.Name != "podman1" || one.NetworkInterface != "podman1" || one.Driver != Bridge || !one.DNSEnabled || len(one.ID) != 64 || len(one.Subnets) != 1 {
		t.Errorf("%+v", one)
	}
	if g := one.Subnets[0]; !g.Subnet.Contains(g.Gateway) || g.Gateway[len(g.Gateway)-1] != 1 {
		t.Errorf("gateway %s of %s", g.Gateway, g.Subnet.String())
	}
	two, err := s.Create(t.Context(), New{Name: "six", IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(two.Subnets) != 2 || two.Subnets[0].Subnet.IP.To4() == nil || two.Subnets[1].Subnet.IP[0] != 0xfd || !two.IPv6Enabled || two.NetworkInterface != "podman2" {
		t.Errorf("%+v", two)
	}
	if meet(one.Subnets[0].Subnet.IPNet, two.Subnets[0].Subnet.IPNet) {
		t.Error("two networks have one subnet")
	}
	quiet, err := s.Create(t.Context(), New{Name: "quiet", Internal: true, DisableDNS: true, Subnets: []types.Subnet{cidr(t, "203.0.113.0/28")}})
	if err != nil || quiet.Subnets[0].Gateway != nil {
		t.Errorf("an internal one without names has a gateway: %+v, %v", quiet, err)
	}
	// Podman's reader of the file.
	data, err := os.ReadFile(filepath.Join(s.Dir, "six.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back types.Network
	if err := json.Unmarshal(data, &back); err != nil || back.ID != two.ID || back.Subnets[1].Subnet.String() != two.Subnets[1].Subnet.String() {
		t.Errorf("%s: %v", data, err)
	}
	all, faults, err := s.List()
	if err != nil || len(faults) > 0 || len(all) != 4 || all[0].Name != "podman" || all[0].ID != defaultID || all[0].DNSEnabled || time.Since(all[0].Created) > time.Minute {
		t.Errorf("%+v, %v, %v", all, faults, err)
	}
	if got, err := s.Get(two.ID[:12]); err != nil || got.Name != "six" {
		t.Errorf("by ID: %+v, %v", got, err)
	}
}

// TestCreateOnADevice: the file says what Podman's says, also of what people write in other words.
func TestCreateOnADevice(t *testing.T) {
	s := newStore(t, version114)
	s.Rootless = false
	for _, driver := range []string{Macvlan, Ipvlan} {
		n, err := s.Create(t.Context(), New{Name: "in" + driver, Driver: driver, Internal: true, Subnets: []types.Subnet{cidr(t, "203.0.113.0/28")}, Options: map[string]string{"parent": "lo", "no_default_route": "1"}})
		if err != nil {
			t.Fatal(err)
		}
		if !n.Internal || n.DNSEnabled || n.Subnets[0].Gateway != nil || n.NetworkInterface != "lo" || n.Options["no_default_route"] != "true" {
			t.Errorf("%+v", n)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	s := newStore(t, `[ "$1" = --version ] && echo netavark 1.4.0`)
	if _, err := s.Create(t.Context(), New{Name: "there", Subnets: []types.Subnet{cidr(t, "198.51.100.0/24")}}); err != nil {
		t.Fatal(err)
	}
	ranged := cidr(t, "203.0.113.0/24")
	ranged.LeaseRange = &types.LeaseRange{StartIP: net.IPv4(203, 0, 113, 9), EndIP: net.IPv4(203, 0, 113, 5)}
	strange := cidr(t, "203.0.113.0/24")
	strange.Gateway = net.IPv4(10, 0, 0, 1)
	for name, tc := range map[string]struct {
		ask  New
		want string
	}{
		"a name that is taken":    {New{Name: "there"}, "network already exists there"},
		"the default":             {New{Name: "podman"}, "network already exists podman"},
		"a bad name":              {New{Name: "-x"}, "names match"},
		"a long name":             {New{Name: strings.Repeat("a", 241)}, "of 241 characters: it may have 240"},
		"a subnet that is used":   {New{Name: "n", Subnets: []types.Subnet{cidr(t, "198.51.100.128/25")}}, "is already used on the host or by another config"},
		"no room":                 {New{Name: "n", Subnets: []types.Subnet{cidr(t, "203.0.113.0/31")}}, "no room for a container"},
		"a gateway elsewhere":     {New{Name: "n", Subnets: []types.Subnet{strange}}, "gateway 10.0.0.1 is not in subnet"},
		"a range backwards":       {New{Name: "n", Subnets: []types.Subnet{ranged}}, "ends before it begins"},
		"a driver":                {New{Name: "n", Driver: "overlay"}, "unsupported driver overlay"},
		"a device as a user":      {New{Name: "n", Driver: Macvlan}, "only root"},
		"an option":               {New{Name: "n", Options: map[string]string{"colour": "red"}}, "driver bridge has no such option"},
		"the value of an option":  {New{Name: "n", Options: map[string]string{"mtu": "big"}}, "it is a number from 0 to 65535"},
		"a long name of a device": {New{Name: "n", Interface: "abcdefghijklmnop"}, "at most 15 characters"},
		"names without a server":  {New{Name: "n", DisableDNS: true, DNS: []net.IP{net.IPv4(9, 9, 9, 9)}}, "has no name server"},
		"an IPAM driver":          {New{Name: "n", IPAM: "dhcp"}, "needs a bridge with --opt mode=unmanaged"},
		"what 1.4 lacks":          {New{Name: "n", Options: map[string]string{"isolate": "strict"}}, "--opt isolate=strict needs netavark 1.7, and 1.4 is installed"},
		"a VLAN with 1.4":         {New{Name: "n", Options: map[string]string{"vlan": "7"}}, "--opt vlan needs netavark 1.14, and 1.4 is installed"},
		"somebody's bridge":       {New{Name: "n", Options: map[string]string{"mode": "unmanaged"}}, "--opt mode=unmanaged of a bridge needs netavark 1.14"},
	} {
		if _, err := s.Create(t.Context(), tc.ask); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "n.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused network has a file: %v", err)
	}
	if _, err := s.Create(t.Context(), New{Name: "docker", Options: map[string]string{"com.docker.network.driver.mtu": "1400", "isolate": "1", "com.docker.network.bridge.name": "br7"}}); err != nil {
		t.Fatal(err)
	}
	n, err := s.Get("docker")
	if err != nil || n.NetworkInterface != "br7" || n.Options["mtu"] != "1400" || n.Options["isolate"] != "true" {
		t.Errorf("%+v, %v", n, err)
	}
}

func TestDamagedFilesAreLeftOut(t *testing.T) {
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "good"}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"bad": "{", "other": `{"name":"good"}`} {
		if err := os.WriteFile(filepath.Join(s.Dir, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, faults, err := s.List()
	if err != nil || len(all) != 2 || len(faults) != 2 {
		t.Errorf("%v, %v, %v", all, faults, err)
	}
	if _, err := s.Create(t.Context(), New{Name: "bad"}); !errors.As(err, &ExistsError{}) {
		t.Errorf("a damaged file is overwritten: %v", err)
	}
	var exists ExistsError
	if _, err := s.Create(t.Context(), New{Name: "podman"}); !errors.As(err, &exists) || strings.Contains(exists.Hint(), "network rm") {
		t.Errorf("the default network: %v (%s), which cannot be removed", err, exists.Hint())
	}
}

func TestLeasesGoRound(t *testing.T) {
	s := newStore(t, version114)
	subnet := cidr(t, "203.0.113.0/29")
	n, err := s.Create(t.Context(), New{Name: "n", Subnets: []types.Subnet{subnet}})
	if err != nil {
		t.Fatal(err)
	}
	take := func(id string, asked ...net.IP) (got string, err error) {
		err = s.leases(func(tx *bbolt.Tx) error {
			ips, err := lease(tx, n, id, asked)
			if err == nil {
				got = ips[0].String()
			}
			return err
		})
		return got, err
	}
	give := func(id string) {
		t.Helper()
		if err := s.leases(func(tx *bbolt.Tx) error { return release(tx, "n", id) }); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		ip, err := take(id)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ip)
	}
	if want := []string{"203.0.113.2", "203.0.113.3", "203.0.113.4", "203.0.113.5", "203.0.113.6"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, err := take("f"); err == nil || !strings.Contains(err.Error(), "failed to find free IP in range: 203.0.113.1 - 203.0.113.6") {
		t.Errorf("a full subnet: %v", err)
	}
	give("b")
	give("b")
	if ip, err := take("g"); err != nil || ip != "203.0.113.3" {
		t.Errorf("the one that is free: %s, %v", ip, err)
	}
	if _, err := take("h", net.IPv4(203, 0, 113, 4)); err == nil || !strings.Contains(err.Error(), "already allocated to container ID c") {
		t.Errorf("somebody else's: %v", err)
	}
	if ip, err := take("c", net.IPv4(203, 0, 113, 4)); err != nil || ip != "203.0.113.4" {
		t.Errorf("its own, again: %s, %v", ip, err)
	}
	if _, err := take("h", net.IPv4(203, 0, 113, 1)); err == nil || !strings.Contains(err.Error(), "is the gateway") {
		t.Errorf("the gateway: %v", err)
	}
	if _, err := take("h", net.IPv4(203, 0, 114, 1)); err == nil || !strings.Contains(err.Error(), "not in any subnet") {
		t.Errorf("outside: %v", err)
	}
	half := filepath.Join(s.Dir, "n.json.new") // of a write that was killed
	if err := errors.Join(os.WriteFile(half, nil, 0o600), s.Remove(t.Context(), "n", func(types.Network) error { return nil })); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a network is left: %v", err)
	}
	if _, err := s.Get("n"); !errors.As(err, &NotFoundError{}) {
		t.Errorf("removed: %v", err)
	}
	if err := s.Remove(t.Context(), "podman", func(types.Network) error { return nil }); err == nil || err.Error() != "default network podman cannot be removed" {
		t.Errorf("the default: %v", err)
	}
}

func TestRangeOfLeases(t *testing.T) {
	s := newStore(t, version114)
	subnet := cidr(t, "203.0.113.0/24")
	subnet.LeaseRange = &types.LeaseRange{StartIP: net.ParseIP("203.0.113.128"), EndIP: net.ParseIP("203.0.113.129")}
	n, err := s.Create(t.Context(), New{Name: "n", Subnets: []types.Subnet{subnet}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, id := range []string{"a", "b", "c"} {
		err := s.leases(func(tx *bbolt.Tx) error {
			ips, err := lease(tx, n, id, nil)
			if err == nil {
				got = append(got, ips[0].String())
			}
			return err
		})
		if (err != nil) != (id == "c") {
			t.Errorf("%s: %v", id, err)
		}
	}
	if want := []string{"203.0.113.128", "203.0.113.129"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestPrepare(t *testing.T) {
	s := newStore(t, version114)
	for _, name := range []string{"a", "b"} {
		if _, err := s.Create(t.Context(), New{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	on := func(e ...Endpoint) Connection { return Connection{ID: "0123456789abcdef", Name: "c", Networks: e} }
	named := func(name, device string) Endpoint {
		e := Endpoint{Name: name}
		e.InterfaceName = device
		return e
	}
	c, err := s.Prepare(on(named("a", ""), named("b", "eth0"), named("podman", "")))
	if err != nil {
		t.Fatal(err)
	}
	var devices []string
	for _, e := range c.Networks {
		devices = append(devices, e.InterfaceName)
	}
	if want := []string{"eth1", "eth0", "eth2"}; !slices.Equal(devices, want) {
		t.Errorf("devices %v, want %v", devices, want)
	}
	s.Config.Containers.InterfaceName = "device"
	if c, err = s.Prepare(on(named("a", ""), named("b", "podman1"), named("podman", "eth0"))); err != nil || c.Networks[0].InterfaceName != "eth1" {
		t.Errorf("a device of the name is there already: %+v, %v", c, err)
	}
	if c, err = s.Prepare(on(named("b", ""), named("podman", "eth0"))); err != nil || c.Networks[0].InterfaceName != "podman2" {
		t.Errorf("as the network's own: %+v, %v", c, err)
	}
	if name, err := s.NextDevice("a", c); err != nil || name != "podman1" {
		t.Errorf("one more: %s, %v", name, err)
	}
	s.Config.Containers.InterfaceName = ""
	if name, err := s.NextDevice("a", c); err != nil || name != "eth1" {
		t.Errorf("one more: %s, %v", name, err)
	}
	for want, bad := range map[string]Connection{
		"network not found":        on(named("x", "")),
		"network a is given twice": on(named("a", ""), named("a", "")),
		"not in any subnet":        on(Endpoint{Name: "a", PerNetworkOptions: types.PerNetworkOptions{StaticIPs: []net.IP{net.IPv4(1, 2, 3, 4)}}}),
	} {
		if _, err := s.Prepare(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestCall has a script in the place of netavark, which shows what it was given.
func TestCall(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, `[ "$1" = --version ] && { echo netavark 1.4.0; exit; }
/bin/cat >`+dir+`/request; echo "$@" >`+dir+`/args; echo "$PATH" >`+dir+`/path
[ -e `+dir+`/fail ] && { echo '{"error":"no such bridge"}'; exit 1; }
echo '{}'`)
	if _, err := s.Create(t.Context(), New{Name: "a", Subnets: []types.Subnet{cidr(t, "203.0.113.0/24")}}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{{Name: "a", PerNetworkOptions: types.PerNetworkOptions{Aliases: []string{"x"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	ns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	here := func(do func() error) error { return do() }
	if _, err := c.call(context.Background(), "setup", c.request(), ns, here); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "request"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Networks map[string]struct {
			Interface string   `json:"interface_name"`
			Aliases   []string `json:"aliases"`
		} `json:"networks"` // a map, or versions before 2.0 do not read it
		Info map[string]struct {
			Subnets []struct {
				Subnet string `json:"subnet"`
			} `json:"subnets"`
		} `json:"network_info"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	if got.Networks["a"].Interface != "eth0" || !slices.Equal(got.Networks["a"].Aliases, []string{"x"}) || got.Info["a"].Subnets[0].Subnet != "203.0.113.0/24" {
		t.Errorf("%s", data)
	}
	args, _ := os.ReadFile(filepath.Join(dir, "args"))
	if want := "--config " + s.Run + " --rootless=true --aardvark-binary=/bin/true setup /proc/self/fd/3\n"; string(args) != want {
		t.Errorf("%q, want %q", args, want)
	}
	if path, _ := os.ReadFile(filepath.Join(dir, "path")); strings.Contains(string(path), "/usr/bin") {
		t.Errorf("netavark would find systemd-run: %s", path)
	}
	if err := os.WriteFile(filepath.Join(dir, "fail"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(context.Background(), "setup", c.request(), ns, here); err == nil || err.Error() != "netavark setup: no such bridge" {
		t.Errorf("what it says: %v", err)
	}
}

// held has a child stand for the holder of the namespace. It tells how that ends.
func held(t *testing.T, shared string) <-chan error {
	t.Helper()
	holder := exec.Command("sleep", "1000")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- holder.Wait() }()
	t.Cleanup(func() { _ = holder.Process.Kill() })
	if err := (Shared{PID: holder.Process.Pid, Ticks: process.StartTicks(holder.Process.Pid)}).Save(shared); err != nil {
		t.Fatal(err)
	}
	return ended
}

// TestTheLastEndsTheNamespace has two connections leave.
func TestTheLastEndsTheNamespace(t *testing.T) {
	s := newStore(t, version114)
	n, err := s.Create(t.Context(), New{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(t.TempDir(), "netns")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	ended := held(t, shared)
	if err := os.MkdirAll(s.Records, 0o700); err != nil {
		t.Fatal(err)
	}
	connect := func(id string) (dir string) {
		t.Helper()
		c, err := s.Prepare(Connection{ID: id, Name: id, Shared: shared, Networks: []Endpoint{{Name: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		dir = t.TempDir()
		err = errors.Join(c.save(dir), os.Symlink(filepath.Join(dir, recordFile), c.link()), s.leases(func(tx *bbolt.Tx) error {
			_, err := lease(tx, n, id, nil)
			return err
		}))
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	one, two := connect("one"), connect("two")
	gone := connect("gone")
	if err := os.Remove(filepath.Join(gone, recordFile)); err != nil {
		t.Fatal(err) // somebody has removed its directory: it must not keep the namespace
	}
	if err := Disconnect(one); err != nil {
		t.Fatal(err)
	}
	if _, ok := ReadShared(shared); !ok {
		t.Fatal("the namespace ended although somebody is connected")
	}
	for range 2 { // safe to repeat
		if err := Disconnect(two); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the holder: %v", err)
	}
	for _, path := range []string{shared, filepath.Join(two, recordFile)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if left, err := os.ReadDir(s.Records); err != nil || len(left) > 0 {
		t.Errorf("records left: %v, %v", left, err)
	}
	err = s.leases(func(tx *bbolt.Tx) error {
		_, err := lease(tx, n, "three", []net.IP{net.IPv4(n.Subnets[0].Subnet.IP[0], n.Subnets[0].Subnet.IP[1], n.Subnets[0].Subnet.IP[2], 3)})
		return err
	})
	if err != nil {
		t.Errorf("an address of one that left: %v", err)
	}
}

// TestBegin has the namespace started before there is anything to connect.
func TestBegin(t *testing.T) {
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: filepath.Join(t.TempDir(), "netns"), Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir, asked, answer := t.TempDir(), make(chan bool, 9), make(chan error)
	servers := Servers{Namespace: "ns.service", Start: func(_ context.Context, unit string) error {
		_, err := os.Stat(c.link()) // whoever leaves meanwhile must find that somebody comes
		asked <- unit == "ns.service" && err == nil
		return <-answer
	}}
	if err := c.Begin(context.Background(), dir, servers); err != nil {
		t.Fatal(err)
	}
	if !<-asked {
		t.Error("another unit, or the connection was not noted before")
	}
	go func() { answer <- errors.New("no pasta") }()
	c.Settle()
	if err := c.Connect(context.Background(), dir, nil, servers); err == nil || err.Error() != "networks of this user: no pasta" || len(asked) > 0 {
		t.Errorf("%v; asked %d times more", err, len(asked))
	}
	if err := Disconnect(dir); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(s.Records); err != nil || len(left) > 0 {
		t.Errorf("records left: %v, %v", left, err)
	}
}

// TestSettleGivesUp: whoever leaves does not wait for a namespace that does not come up.
func TestSettleGivesUp(t *testing.T) {
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: filepath.Join(t.TempDir(), "netns"), Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	dir, over := t.TempDir(), make(chan error, 1)
	servers := Servers{Namespace: "ns.service", Start: func(ctx context.Context, _ string) error {
		<-ctx.Done()
		over <- ctx.Err()
		return ctx.Err()
	}}
	if err := c.Begin(t.Context(), dir, servers); err != nil {
		t.Fatal(err)
	}
	c.Settle() // on its own; else the test never ends
	select {
	case err := <-over:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	default:
		t.Error("it has not waited for the end of what it gave up")
	}
	if err := c.Connect(t.Context(), dir, nil, servers); !errors.Is(err, context.Canceled) {
		t.Errorf("after that it is connected: %v", err)
	}
	if err := Disconnect(dir); err != nil {
		t.Error(err)
	}
}

// TestNameServerStartsBeside has netavark, a script, wait until the name server is asked for, which
// waits in turn until netavark has written names.
func TestNameServerStartsBeside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	at := t.TempDir()
	s := newStore(t, `[ "$1" = --version ] && { echo netavark 1.14.0; exit; }
for i in $(/usr/bin/seq 6000); do [ -e `+at+`/asked ] && break; /bin/sleep 0.01; done
[ -e `+at+`/asked ] || { echo '{"error":"nobody starts the name server"}'; exit 1; }
/bin/mkdir -p `+at+`/run/aardvark-dns; : >`+at+`/run/aardvark-dns/a; echo '{}'`)
	s.Run, s.Rootless = filepath.Join(at, "run"), false
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Networks: []Endpoint{{Name: "a"}}})
	if err != nil || !c.HasDNS() {
		t.Fatal(err)
	}
	ns := inside(t)
	served := 0
	servers := Servers{Names: func(context.Context) error {
		if err := os.WriteFile(filepath.Join(at, "asked"), nil, 0o600); err != nil {
			return err
		}
		return s.WithNames(t.Context(), func(context.Context, string) error { served++; return nil }, func() error { return errors.New("there are no names") })
	}}
	if err := c.Connect(context.Background(), t.TempDir(), ns, servers); err != nil || served != 1 {
		t.Errorf("%v; served %d times", err, served)
	}
	if err := os.RemoveAll(c.dnsDir()); err != nil {
		t.Fatal(err)
	}
	without := errors.New("without")
	if err := s.WithNames(t.Context(), func(context.Context, string) error { return nil }, func() error { return without }); !errors.Is(err, without) {
		t.Errorf("where there is no name: %v", err)
	}
}

// TestUnusedNamespace has a namespace come up for somebody who has left.
func TestUnusedNamespace(t *testing.T) {
	s := newStore(t, version114)
	shared := filepath.Join(t.TempDir(), "netns")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	ended := held(t, shared)
	coming := filepath.Join(s.Records, "coming")
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"nobody ever came", func() error { return nil }},
		{"somebody comes", func() error { return errors.Join(os.MkdirAll(s.Records, 0o700), os.Symlink(shared, coming)) }},
	} {
		if err := errors.Join(step.do(), s.EndUnused(shared)); err != nil {
			t.Fatal(err)
		}
		if _, ok := ReadShared(shared); !ok {
			t.Fatalf("%s: the namespace has ended", step.what)
		}
	}
	if err := errors.Join(os.Remove(coming), s.EndUnused(shared)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the holder: %v", err)
	}
}

// TestLeftWhileMade has the last container leave while the namespace is being made. Its maker ends
// that; one that was killed keeps nobody.
func TestLeftWhileMade(t *testing.T) {
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	leaves := func(shared string) {
		t.Helper()
		c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: shared, Networks: []Endpoint{{Name: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := errors.Join(c.note(dir), Disconnect(dir)); err != nil {
			t.Fatal(err)
		}
	}
	shared := t.TempDir()
	killed := exec.Command("true")
	if err := errors.Join(killed.Run(), os.MkdirAll(s.Records, 0o700), os.Symlink(fmt.Sprintf("/proc/%d/stat", killed.Process.Pid), s.making()), s.Making(t.Context())); err != nil {
		t.Fatal(err)
	}
	leaves(shared) // and does not take the directory away
	ended := held(t, shared)
	leaves(shared)
	if _, ok := ReadShared(shared); !ok {
		t.Error("the namespace has ended before it is up")
	}
	if err := s.EndUnused(shared); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the holder: %v", err)
	}
	shared = t.TempDir()
	ended = held(t, shared)
	if err := os.Symlink(fmt.Sprintf("/proc/%d/stat", killed.Process.Pid), s.making()); err != nil {
		t.Fatal(err)
	}
	leaves(shared)
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the holder of a maker that was killed: %v", err)
	}
	if _, err := os.Lstat(s.making()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the maker that was killed is still noted: %v", err)
	}
	if left, err := os.ReadDir(s.Records); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestLeftWhileMadeByHand has the first container of a boot come and leave while the namespace is
// being made, which somebody has started by hand. Its maker finds its directory as it was.
func TestLeftWhileMadeByHand(t *testing.T) {
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	shared, dir := filepath.Join(t.TempDir(), "netns"), t.TempDir()
	kept := filepath.Join(shared, "pasta.pid")
	if err := errors.Join(s.Making(t.Context()), os.Mkdir(shared, 0o700), os.WriteFile(kept, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: shared, Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.note(dir), Disconnect(dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("under its maker: %v", err)
	}
	ended := held(t, shared)
	if err := s.EndUnused(shared); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("the holder: %v", err)
	}
	if _, err := os.Lstat(s.making()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the maker is still noted: %v", err)
	}
}

// TestLastOneWasKilled has the last container leave, and podunit killed when the holder has ended and
// some of the namespace's directory is gone. Who does it once more takes the rest.
func TestLastOneWasKilled(t *testing.T) {
	s := newStore(t, version114)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	for _, what := range []struct {
		name, gone string
		again      func(dir, shared string) error
	}{
		{"nothing gone, the container leaves", "none", func(dir, _ string) error { return Disconnect(dir) }},
		{"the process is not named any more, the container leaves", sharedFile, func(dir, _ string) error { return Disconnect(dir) }},
		{"nothing gone, the maker ends", "none", func(_, shared string) error { return s.EndUnused(shared) }},
		{"the process is not named any more, the maker ends", sharedFile, func(_, shared string) error { return s.EndUnused(shared) }},
	} {
		t.Run(what.name, func(t *testing.T) {
			shared := filepath.Join(t.TempDir(), "netns")
			if err := errors.Join(os.Mkdir(shared, 0o700), os.MkdirAll(filepath.Join(shared, "rules"), 0o700), os.WriteFile(filepath.Join(shared, "rules", "ID"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			ended := held(t, shared)
			c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: shared, Networks: []Endpoint{{Name: "a"}}})
			if err != nil {
				t.Fatal(err)
			}
			h, _ := ReadShared(shared)
			dir := t.TempDir()
			err = errors.Join(c.note(dir), os.Remove(c.link()), process.End(h.PID, h.Ticks, unix.SIGTERM, process.KillWait), os.RemoveAll(filepath.Join(shared, what.gone)))
			if err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil || err.Error() != "signal: terminated" {
				t.Error(err)
			}
			if err := what.again(dir, shared); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(shared); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the directory is left: %v", err)
			}
		})
	}
}

// leaver is a connection to a network, with what runs in the namespace where its bridge device
// would be. script is netavark.
func leaver(t *testing.T, script, device string) (*Connection, func(func() error) error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	s := newStore(t, script)
	if _, err := s.Create(t.Context(), New{Name: "a", Interface: device}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	host, err := netns.Anonymous()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	return c, func(do func() error) error { return netns.Do(host, do) }
}

// TestLeavingAfterTheBridge takes back a connection whose bridge has gone with another one's.
// netavark, a script here, refuses that: it must find a bridge.
func TestLeavingAfterTheBridge(t *testing.T) {
	c, within := leaver(t, "true", "tb0")
	if err := c.teardown(context.Background(), within); err != nil {
		t.Fatal(err)
	}
	err := within(func() error {
		_, err := netlink.LinkByName("tb0")
		return err
	})
	if err != nil {
		t.Errorf("netavark found no bridge: %v", err)
	}
}

// TestLeavingWithoutNames takes back connections whose names nobody serves. netavark, a script
// here, refuses to remove names that are not there, or when there is no name server.
func TestLeavingWithoutNames(t *testing.T) {
	c, within := leaver(t, `case $(/bin/cat) in *'"dns_enabled":true'*) echo '{"error":"remove aardvark entries"}'; exit 1;; esac`, "tb1")
	if err := c.teardown(context.Background(), within); err != nil {
		t.Errorf("a setup that failed before there was a file of names: %v", err)
	}
	names := filepath.Join(c.dnsDir(), "a%int")
	if err := errors.Join(os.MkdirAll(c.dnsDir(), 0o700), os.WriteFile(names, []byte("10.0.0.1\none 10.0.0.2  one\ntwo 10.0.0.3  two\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := c.teardown(context.Background(), within); err != nil {
		t.Errorf("a name server that has gone: %v", err)
	}
	if left, err := os.ReadFile(names); err != nil || string(left) != "10.0.0.1\ntwo 10.0.0.3  two\n" {
		t.Errorf("names that nobody serves: %q, %v", left, err)
	}
	pid := nameServer(t)
	if err := os.WriteFile(filepath.Join(c.dnsDir(), "aardvark.pid"), fmt.Append(nil, pid), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.teardown(context.Background(), within); err == nil {
		t.Error("netavark is not told of names that are served")
	}
}

// inside is the network namespace of a container with a device eth0.
func inside(t *testing.T) *os.File {
	t.Helper()
	ns, err := netns.Anonymous()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	err = netns.Do(ns, func() error { return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}}) })
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// nameServer is the process ID of a program that is called as the name server is.
func nameServer(t *testing.T) int {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "aardvark-dns")
	text, err := os.ReadFile(sleep)
	if err := errors.Join(err, os.WriteFile(program, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(program, "1000")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	return server.Process.Pid
}

// TestNamespaceThatIsLost: where the namespace is lost and made again between netavark's setup and
// the answer of the name server, the links are made again. netavark, a script, makes none, so its
// second setup finds that the device of the first is gone.
func TestNamespaceThatIsLost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	at := t.TempDir()
	s := newStore(t, fmt.Sprintf(`[ "$1" = --version ] && { echo netavark 1.14.0; exit; }
echo setup >>%s/calls; echo '{}'`, at))
	s.Run = filepath.Join(at, "run")
	shared := filepath.Join(at, "netns")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	held(t, shared)
	if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: shared, Networks: []Endpoint{{Name: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	started := ""
	servers := Servers{
		Namespace: "netns.service",
		Start:     func(_ context.Context, unit string) error { started += unit; return nil },
		Names:     func(context.Context) error { held(t, shared); return nil },
	}
	err = c.Connect(t.Context(), t.TempDir(), inside(t), servers)
	if calls, _ := os.ReadFile(filepath.Join(at, "calls")); !errors.As(err, new(netlink.LinkNotFoundError)) || string(calls) != "setup\nsetup\n" || started != "netns.service" {
		t.Errorf("%v; netavark: %q; started %q", err, calls, started)
	}
}

// TestLinkOfAnotherStays: after the namespace was lost, the index of a container's link is the one of
// another's in the new namespace. Where the first is not connected again, as netavark fails, it must
// not take the other's link along when it leaves.
func TestLinkOfAnotherStays(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	s := newStore(t, `case "$*" in --version) echo netavark 1.14.0 ;; *setup*) echo '{"error":"full"}'; exit 1 ;; esac`)
	if _, err := s.Create(t.Context(), New{Name: "a", DisableDNS: true}); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(t.TempDir(), "netns")
	host, err := netns.Anonymous()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := errors.Join(os.Mkdir(shared, 0o700), netns.Do(host, func() error { held(t, shared); return nil })); err != nil {
		t.Fatal(err)
	}
	var both [2]*Connection
	var dirs [2]string
	for i, id := range []string{"one", "two"} {
		c, err := s.Prepare(Connection{ID: id, Name: id, Shared: shared, Networks: []Endpoint{{Name: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		c.Begun, c.Answer, both[i], dirs[i] = true, map[string]types.StatusBlock{"a": {}}, c, t.TempDir()
	}
	err = netns.Do(host, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: both[0].Info["a"].NetworkInterface}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "other", MasterIndex: bridge.Index}, PeerName: "other1"}
		err := netlink.LinkAdd(link)
		both[0].Peers, both[1].Peers = map[string]int{"a": link.Index}, map[string]int{"a": link.Index}
		return err
	})
	if err := errors.Join(err, both[0].note(dirs[0]), both[1].note(dirs[1])); err != nil {
		t.Fatal(err)
	}
	c, err := Read(dirs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Connect(t.Context(), dirs[0], inside(t), Servers{}); err == nil || err.Error() != "netavark setup: full" {
		t.Fatal(err)
	}
	if err := Disconnect(dirs[0]); err != nil {
		t.Error(err)
	}
	err = netns.Do(host, func() error {
		_, err := netlink.LinkByName("other")
		return err
	})
	if err != nil {
		t.Errorf("the link of another: %v", err)
	}
}

// TestAUsersNameServer is asked for once netavark, a script, has written names, under the lock, so
// that it reads no file that another netavark is writing. One that netavark has told of them is
// left alone.
func TestAUsersNameServer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	one, two := nameServer(t), nameServer(t)
	for name, test := range map[string]struct{ before, after, asked int }{
		"none":                          {0, 0, 1},
		"the same":                      {one, one, 0},
		"killed":                        {one, 0, 1},
		"killed and started":            {one, two, 1},
		"started while netavark writes": {0, two, 1},
	} {
		at := t.TempDir()
		dns := filepath.Join(at, "run", "aardvark-dns")
		s := newStore(t, fmt.Sprintf(`[ "$1" = --version ] && { echo netavark 1.14.0; exit; }
echo 10.89.0.1 >%[1]s/a; echo %[2]d >%[1]s/aardvark.pid; echo '{}'`, dns, test.after))
		s.Run = filepath.Join(at, "run")
		shared := filepath.Join(at, "netns")
		if err := errors.Join(os.MkdirAll(dns, 0o700), os.Mkdir(shared, 0o700), os.WriteFile(filepath.Join(dns, "aardvark.pid"), fmt.Append(nil, test.before), 0o600)); err != nil {
			t.Fatal(err)
		}
		held(t, shared)
		if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
			t.Fatal(err)
		}
		c, err := s.Prepare(Connection{ID: "one", Name: "one", Shared: shared, Networks: []Endpoint{{Name: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		ns := inside(t)
		asked, fault := 0, errors.New("it cannot start")
		servers := Servers{Names: func(context.Context) error {
			asked++
			if _, err := os.Stat(filepath.Join(dns, "a")); err != nil {
				t.Errorf("%s: asked before there are names: %v", name, err)
			}
			f, err := os.OpenFile(s.LockFile, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("%s: asked without the lock: %v", name, err)
			}
			return fault
		}}
		if err := c.Connect(t.Context(), t.TempDir(), ns, servers); errors.Is(err, fault) != (test.asked > 0) || err != nil && !errors.Is(err, fault) {
			t.Errorf("%s: %v", name, err)
		}
		if asked != test.asked {
			t.Errorf("%s: asked %d times, want %d", name, asked, test.asked)
		}
	}
}
