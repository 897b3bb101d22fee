// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/libnetwork/types"
)

// TestReachable: no client that a pasta of its own would let in is left outside.
func TestReachable(t *testing.T) {
	both := routes{default4: "eth0", any4: "eth0", default6: "eth0", any6: "eth0"}
	four := routes{default4: "eth0", any4: "eth0"}
	local6 := routes{default4: "eth0", any4: "eth0", any6: "eth0"}
	for _, tt := range []struct {
		name               string
		port               string
		network4, network6 bool
		r                  routes
		want               string
	}{
		{"all addresses, both families", "8080:80", true, true, both, ":8080"},
		{"IPv6 clients, and a network without", "8080:80", true, false, both, ""},
		{"a machine without IPv6", "8080:80", true, false, four, "0.0.0.0:8080"},
		{"such a machine, and a network with", "8080:80", true, true, four, "0.0.0.0:8080"},
		{"a network of IPv6 only", "8080:80", false, true, both, ""},
		{"IPv6 that leads nowhere", "8080:80", true, true, local6, ""},
		{"an address of IPv4", "127.0.0.1:8080:80", true, false, both, "127.0.0.1:8080"},
		{"one of IPv6", "[::1]:8080:80", true, true, both, "::1:8080"},
		{"one of IPv6, and a network without", "[::1]:8080:80", true, false, both, ""},
		{"one of IPv6, and a machine without", "[::1]:8080:80", true, true, four, ""},
	} {
		got, ok := reachable([]spec.PortMapping{port(t, tt.port)}, tt.network4, tt.network6, tt.r)
		s := ""
		if ok {
			s = got[0].HostIP + ":8080"
		}
		if s != tt.want || ok && (got[0].HostPort != 8080 || got[0].ContainerPort != 80) {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
	}
	if _, ok := reachable([]spec.PortMapping{port(t, "8080:80"), port(t, "[::1]:81:81")}, true, false, four); ok {
		t.Error("one of two that cannot be reached")
	}
}

// TestListens waits for a port that somebody has.
func TestListens(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := types.PortMapping{HostIP: "127.0.0.1", HostPort: uint16(l.Addr().(*net.TCPAddr).Port), Range: 1, Protocol: "tcp"}
	c := &netavark.Connection{Forward: &netavark.Forward{Ports: []types.PortMapping{p}}}
	if err := listens(context.Background(), c); err != nil {
		t.Error(err)
	}
	l.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(context.Canceled)
	if err := listens(ctx, c); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("nobody listens: %v", err)
	}
	if err := listens(ctx, &netavark.Connection{}); err != nil {
		t.Errorf("nothing to listen on: %v", err)
	}
}
