// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"go.podman.io/common/libnetwork/types"
)

// TestNamesAreForgotten: a connection that is made again has its names once. Those of others stay,
// and no other file comes into the directory, in which aardvark-dns would take it for a network.
func TestNamesAreForgotten(t *testing.T) {
	c := &Connection{ID: "11", Run: t.TempDir()}
	if err := c.forgetNames(); err != nil {
		t.Errorf("nobody has names: %v", err)
	}
	if err := os.Mkdir(c.dnsDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"front":        "10.89.0.1\n11 10.89.0.2  web,11\n111 10.89.0.3  other\n11 10.89.0.2  web,11\n",
		"back%int":     "10.89.1.1 192.0.2.1\n22 10.89.1.2  11 db\n",
		"last":         "10.89.2.1\n11 10.89.2.2  web\n",
		"aardvark.pid": "11 ",
	} {
		if err := os.WriteFile(filepath.Join(c.dnsDir(), name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.forgetNames(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(c.dnsDir())
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(c.dnsDir(), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "%s: %q\n", e.Name(), data)
	}
	want := `aardvark.pid: "11 "
back%int: "10.89.1.1 192.0.2.1\n22 10.89.1.2  11 db\n"
front: "10.89.0.1\n111 10.89.0.3  other\n"
`
	if got.String() != want {
		t.Errorf("%s", got.String())
	}
	if left, err := os.ReadDir(c.Run); err != nil || len(left) != 1 {
		t.Errorf("left in the directory above: %v, %v", left, err)
	}
}

// TestPlainNames: with Debian 12's aardvark-dns the resolver of a container on two networks asks
// for plain names only.
func TestPlainNames(t *testing.T) {
	for version, plain := range map[string]bool{"1.4.0": true, "1.11.0": true, "1.12.0": false, "1.14.0": false, "2.0.0": false} {
		s := newStore(t, `[ "$1" = --version ] && echo netavark `+version)
		for name, mute := range map[string]bool{"a": false, "b": false, "mute": true} {
			if _, err := s.Create(t.Context(), New{Name: name, DisableDNS: mute}); err != nil {
				t.Fatal(err)
			}
		}
		for networks, want := range map[string]bool{"a": false, "a mute": false, "a b": plain} {
			ask := Connection{ID: "0123456789abcdef", Name: "c"}
			for _, name := range strings.Fields(networks) {
				ask.Networks = append(ask.Networks, Endpoint{Name: name})
			}
			c, err := s.Prepare(ask)
			if err != nil {
				t.Fatal(err)
			}
			c.Answer = map[string]types.StatusBlock{"a": {DNSSearchDomains: []string{"dns.podman"}}}
			if got := len(c.Search()) == 0; got != want {
				t.Errorf("%s on %s searches %v", version, networks, c.Search())
			}
		}
	}
}

// TestRequestOfIpvlan: netavark takes the device of the host from network_interface, and the
// options as they are. No kernel of the lab has it.
func TestRequestOfIpvlan(t *testing.T) {
	s := newStore(t, version114)
	s.Rootless = false
	if _, err := s.Create(t.Context(), New{Name: "flat", Driver: Ipvlan, Options: map[string]string{"parent": "lo", "mode": "l3s", "mtu": "1400", "metric": "7"}, Subnets: []types.Subnet{cidr(t, "198.51.100.0/24")}}); err != nil {
		t.Fatal(err)
	}
	c, err := s.Prepare(Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{{Name: "flat"}}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(c.request())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Info map[string]struct {
			Driver    string            `json:"driver"`
			Interface string            `json:"network_interface"`
			DNS       bool              `json:"dns_enabled"`
			Options   map[string]string `json:"options"`
		} `json:"network_info"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(got); text != "{map[flat:{ipvlan lo false map[metric:7 mode:l3s mtu:1400]}]}" {
		t.Errorf("%s of %s", text, data)
	}
	if hint := (Error{Verb: "setup", Said: "create ipvlan interface eth0: Operation not supported (os error 95)"}).Hint(); !strings.Contains(hint, "the kernel lacks") || !strings.Contains(hint, "modprobe") {
		t.Errorf("a kernel without: %q", hint)
	}
}

// TestKept: the namespace is found in the /run of Within, also where a system unit with User= has
// given the user a runtime directory of its own.
func TestKept(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	for dir, want := range map[string]string{
		"/run/user/1000/podunit/networks/netns":         "[/run/user/1000]",
		"/run/podunit-user/1000/podunit/networks/netns": "[/run/user/1000 /run/podunit-user/1000]",
		"/home/a/run/podunit/networks/netns":            "[/run/user/1000]",
	} {
		if got := fmt.Sprint(kept(dir)); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}

// TestLeavingAfterTheRules: of those who leave a network at once, the first takes its iptables
// rules away, and netavark fails for the others. Their names and the bridge go all the same; any
// other complaint is an error.
func TestLeavingAfterTheRules(t *testing.T) {
	const said = `code: 1, msg: iptables: No chain/target/match by that name.`
	c, within := leaver(t, `echo '{"error":"`+said+`"}'; exit 1`, "tb2")
	name := c.Networks[0].Name
	if err := errors.Join(os.MkdirAll(c.dnsDir(), 0o700), os.WriteFile(filepath.Join(c.dnsDir(), name), []byte("10.89.0.1\n"+c.ID+" 10.89.0.2  web\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := c.teardown(context.Background(), within); err != nil {
		t.Fatal(err)
	}
	err := within(func() error {
		_, err := netlink.LinkByName("tb2")
		return err
	})
	if !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("the bridge: %v", err)
	}
	if left := c.namesServed(); len(left) > 0 {
		t.Errorf("names: %v", left)
	}
	c, within = leaver(t, `echo '{"error":"iptables: Permission denied"}'; exit 1`, "tb3")
	if err := c.teardown(context.Background(), within); err == nil {
		t.Error("another complaint is no error")
	}
}

// TestLeavingWhileOthersStay: netavark, a script that fails here, has no part in it while somebody
// else is on the bridge. It has where nobody is, and where a setup was not finished.
func TestLeavingWhileOthersStay(t *testing.T) {
	for name, test := range map[string]struct {
		other, finished, rootless, ports bool
		called                           bool
	}{
		"another stays":             {true, true, true, false, false},
		"the last one":              {false, true, true, false, true},
		"a setup without an end":    {true, false, true, false, true},
		"root's, and another stays": {true, true, false, false, false},
		"root's, the last one":      {false, true, false, false, true},
		"root's with ports":         {true, true, false, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, within := leaver(t, `echo '{"error":"called"}'; exit 1`, "tb4")
			c.Rootless = test.rootless
			if test.ports {
				c.Ports = []types.PortMapping{{HostPort: 80, ContainerPort: 80, Protocol: "tcp"}}
			}
			names := filepath.Join(c.dnsDir(), "a")
			// netavark's notes of root's.
			notes := filepath.Join(c.Run, "firewall", "ports")
			ours, others := filepath.Join(notes, c.Info["a"].ID+"_"+c.ID), filepath.Join(notes, c.Info["a"].ID+"_two")
			if !test.rootless {
				if err := errors.Join(os.MkdirAll(notes, 0o700), os.WriteFile(ours, nil, 0o600), os.WriteFile(others, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			err := errors.Join(os.MkdirAll(c.dnsDir(), 0o700), os.WriteFile(names, []byte("10.89.0.1\n"+c.ID+" 10.89.0.2  one\ntwo 10.89.0.3  two\n"), 0o600), within(func() error {
				bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "tb4"}}
				if err := netlink.LinkAdd(bridge); err != nil {
					return err
				}
				for _, name := range []string{"ours", "other"} {
					if name == "other" && !test.other {
						continue
					}
					link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: bridge.Index}, PeerName: name + "1"}
					if err := netlink.LinkAdd(link); err != nil {
						return err
					}
					if name == "ours" && test.finished {
						c.Peers = map[string]int{"a": link.Index}
					}
				}
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			err = c.teardown(t.Context(), within)
			if called := err != nil && strings.Contains(err.Error(), "called"); called != test.called || err != nil && !called {
				t.Errorf("%v", err)
			}
			if test.called {
				return
			}
			if left, err := os.ReadFile(names); err != nil || string(left) != "10.89.0.1\ntwo 10.89.0.3  two\n" {
				t.Errorf("names: %q, %v", left, err)
			}
			if left, _ := filepath.Glob(filepath.Join(notes, "*")); !test.rootless && !slices.Equal(left, []string{others}) {
				t.Errorf("notes: %v", left)
			}
			err = within(func() error {
				_, err := netlink.LinkByName("ours")
				return err
			})
			if !errors.As(err, &netlink.LinkNotFoundError{}) {
				t.Errorf("our link: %v", err)
			}
		})
	}
}
