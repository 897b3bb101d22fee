// SPDX-License-Identifier: Apache-2.0

package network

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
	"go.podman.io/common/pkg/config"
)

// TestPortsOfRules has root's containers on networks, whose ports nobody binds, and a user's whose
// port the pasta of all binds.
func TestPortsOfRules(t *testing.T) {
	s := &netavark.Store{Records: t.TempDir(), Config: &config.Config{}}
	dir := t.TempDir()
	data, err := json.Marshal(netavark.Connection{ID: "one", Name: "web", Ports: []types.PortMapping{{HostPort: 8000, ContainerPort: 80, Range: 10, Protocol: "tcp"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "networks.json"), data, 0o600), os.Symlink(filepath.Join(dir, "networks.json"), filepath.Join(s.Records, "one"))); err != nil {
		t.Fatal(err)
	}
	data, err = json.Marshal(netavark.Connection{ID: "db", Name: "db", Forward: &netavark.Forward{Ports: []types.PortMapping{{HostIP: "127.0.0.1", HostPort: 5432, Protocol: "tcp"}}}})
	other := t.TempDir()
	if err := errors.Join(err, os.WriteFile(filepath.Join(other, "networks.json"), data, 0o600), os.Symlink(filepath.Join(other, "networks.json"), filepath.Join(s.Records, "db"))); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		id     string
		port   spec.PortMapping
		holder string
	}{
		"in the range":    {"two", spec.PortMapping{HostPort: 8009, Range: 1, Protocol: "tcp"}, "web"},
		"on one address":  {"two", spec.PortMapping{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: 7999, Range: 2, Protocol: "tcp"}, "web"},
		"behind it":       {"two", spec.PortMapping{HostPort: 8010, Range: 1, Protocol: "tcp"}, ""},
		"of another kind": {"two", spec.PortMapping{HostPort: 8000, Range: 1, Protocol: "udp"}, ""},
		"its own":         {"one", spec.PortMapping{HostPort: 8000, Range: 1, Protocol: "tcp"}, ""},
		"pasta's":         {"two", spec.PortMapping{HostPort: 5432, Protocol: "tcp"}, "db"},
		"beside pasta's":  {"two", spec.PortMapping{HostIP: netip.MustParseAddr("::1"), HostPort: 5432, Protocol: "tcp"}, ""},
	} {
		err := free(s, tc.id, []spec.PortMapping{tc.port})
		var in PortInUseError
		if errors.As(err, &in) != (tc.holder != "") || in.Holder != "" && in.Holder != "container "+tc.holder {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAddressesIPv4First(t *testing.T) {
	got := addresses([]net.IP{net.ParseIP("fd00::2"), net.ParseIP("10.89.0.2"), net.ParseIP("fd00::3"), net.ParseIP("10.89.1.2")})
	want := []netip.Addr{netip.MustParseAddr("10.89.0.2"), netip.MustParseAddr("10.89.1.2"), netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::3")}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
