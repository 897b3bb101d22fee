// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
)

func TestJoined(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("theirs"), []byte("10.0.0.1\tdb # web\n10.0.2.15\tvpn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("servers"), []byte("nameserver 9.9.9.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j := Joined{Hosts: in("theirs"), ResolvConf: in("servers")}
	ip := []netip.Addr{netip.MustParseAddr("10.0.2.15")}
	entries := []spec.HostEntry{{Names: []string{"a", "b"}, IP: netip.MustParseAddr("fd00::1")}, {Names: []string{"gw"}, Gateway: true}}
	for _, tc := range []struct {
		j       Joined
		entries []spec.HostEntry
		names   []string
		ips     []netip.Addr
		want    string
	}{
		{Joined{}, entries, []string{"a"}, ip, "fd00::1\ta b\n169.254.1.2\tgw\n"},
		{j, nil, []string{"web", "systemd-web"}, ip, "10.0.0.1\tdb # web\n10.0.2.15\tvpn\n10.0.2.15\tweb systemd-web\n"},
		{j, nil, []string{"db", "web"}, nil, "10.0.0.1\tdb # web\n10.0.2.15\tvpn\n127.0.0.1\tweb\n"},
		{j, nil, []string{"db"}, ip, "10.0.0.1\tdb # web\n10.0.2.15\tvpn"},
		{Joined{}, nil, []string{"web"}, ip, "10.0.2.15\tweb\n"},
	} {
		if err := tc.j.WriteHosts(in("hosts"), tc.entries, tc.names, tc.ips, "169.254.1.2"); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(in("hosts")); err != nil || string(got) != tc.want {
			t.Errorf("%q, %v, want %q", got, err, tc.want)
		}
	}
	var none NoHostAddressError
	if err := j.WriteHosts(in("hosts"), entries, nil, nil, ""); !errors.As(err, &none) {
		t.Errorf("host-gateway without one: %v", err)
	}
	if err := j.WriteResolvConf(in("resolv.conf")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(in("resolv.conf")); err != nil || string(got) != "nameserver 9.9.9.9\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestJoinedThatHasEnded: whatever has the process ID of a container by now is not joined in its
// stead, neither at the look at its addresses nor later.
func TestJoinedThatHasEnded(t *testing.T) {
	path := process.Namespace(os.Getpid(), "net")
	for name, j := range map[string]Joined{
		"runs":   {Name: "vpn", PID: os.Getpid(), Ticks: process.StartTicks(os.Getpid())},
		"reused": {Name: "vpn", PID: os.Getpid(), Ticks: process.StartTicks(os.Getpid()) + 1},
		"gone":   {Name: "vpn", PID: 1 << 30, Ticks: 1},
	} {
		n := &Network{req: Request{Joined: &j}, result: Result{Path: path}}
		ns, err := n.Open()
		if name == "runs" {
			if err != nil {
				t.Fatal(err)
			}
			own, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if st, err := ns.Stat(); err != nil || !os.SameFile(st, own) {
				t.Errorf("another one: %v", err)
			}
			ns.Close()
			continue
		}
		if ns != nil || !errors.Is(err, netns.ErrEnded) || !strings.HasPrefix(err.Error(), "--network container:vpn: ") {
			t.Errorf("%s: %v, %v", name, ns, err)
		}
		_, err = Start(t.Context(), Request{Network: spec.Network{Mode: spec.NetNS, Path: path}, Joined: &j, Config: &config.Config{}})
		if !errors.Is(err, netns.ErrEnded) {
			t.Errorf("%s, at the start: %v", name, err)
		}
	}
	if ns, err := (&Network{}).Open(); ns != nil || err != nil {
		t.Errorf("the host's: %v, %v", ns, err)
	}
}

// TestJoinedHuge: the other container has made its file larger than all memory.
func TestJoinedHuge(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge")
	if err := errors.Join(os.WriteFile(huge, nil, 0o600), os.Truncate(huge, 1<<42)); err != nil {
		t.Fatal(err)
	}
	j := Joined{Hosts: huge, ResolvConf: huge}
	for _, err := range []error{j.WriteHosts(filepath.Join(dir, "hosts"), nil, nil, nil, ""), j.WriteResolvConf(filepath.Join(dir, "resolv.conf"))} {
		if !errors.Is(err, safe.ErrTooLarge) {
			t.Errorf("%v", err)
		}
	}
}
