// SPDX-License-Identifier: Apache-2.0

package network

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
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
		{"all addresses, both families", "8080:80", true, true, both, "0.0.0.0 ::"},
		{"IPv6 clients, and a network without", "8080:80", true, false, both, ""},
		{"a machine without IPv6", "8080:80", true, false, four, "0.0.0.0"},
		{"such a machine, and a network with", "8080:80", true, true, four, "0.0.0.0"},
		{"a network of IPv6 only", "8080:80", false, true, both, ""},
		{"IPv6 that leads nowhere", "8080:80", true, true, local6, ""},
		{"an address of IPv4", "127.0.0.1:8080:80", true, false, both, "127.0.0.1"},
		{"all of IPv4", "0.0.0.0:8080:80", true, false, both, "0.0.0.0"},
		{"one of IPv6", "[::1]:8080:80", true, true, both, "::1"},
		{"one of IPv6, and a network without", "[::1]:8080:80", true, false, both, ""},
		{"one of IPv6, and a machine without", "[::1]:8080:80", true, true, four, ""},
		{"UDP", "8080:80/udp", true, true, both, ""},
	} {
		got, ok := reachable([]spec.PortMapping{port(t, tt.port)}, tt.network4, tt.network6, tt.r)
		var on []string
		for _, p := range got {
			on = append(on, p.HostIP)
			if p.HostPort != 8080 || p.ContainerPort != 80 {
				t.Errorf("%s: %+v", tt.name, p)
			}
		}
		if s := strings.Join(on, " "); s != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.name, s, ok, tt.want)
		}
	}
	if got, ok := reachable([]spec.PortMapping{port(t, "8080:80"), port(t, "[::1]:81:81")}, true, false, four); ok || got != nil {
		t.Errorf("one of two that cannot be reached: %+v", got)
	}
}

// TestPastaWithoutOrders: a pasta that may not make the socket at which it would take orders runs
// without.
func TestPastaWithoutOrders(t *testing.T) {
	for name, tt := range map[string]struct {
		script, want string
	}{
		"it may":     {"", pestoFile},
		"it may not": {`case "$*" in *--conf-path*) echo "bind: Permission denied"; exit 1;; esac`, "."},
	} {
		t.Run(name, func(t *testing.T) {
			dir, bin := t.TempDir(), t.TempDir()
			script := "#!/bin/sh\n" + tt.script + `
while [ $# -gt 0 ]; do [ "$1" = --pid ] && echo $$ >"$2"; shift; done`
			for program, text := range map[string]string{"pasta": script, "pesto": "#!/bin/sh\n"} {
				if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			conf := &config.Config{}
			conf.Engine.HelperBinariesDir.Set([]string{bin})
			ns, err := os.Open("/proc/self/ns/net")
			if err != nil {
				t.Fatal(err)
			}
			defer ns.Close()
			got, err := startPasta(t.Context(), Request{Dir: dir, Config: conf, Control: true}, ns, nil)
			if err != nil {
				t.Fatal(err)
			}
			if base := filepath.Base(got.control); base != tt.want {
				t.Errorf("its socket: %q", got.control)
			}
			if refused := tt.want != pestoFile; (got.refused != nil) != refused || refused && !strings.Contains(got.refused.Error(), "Permission denied") {
				t.Errorf("why it has none: %v", got.refused)
			}
			got, err = startPasta(t.Context(), Request{Dir: dir, Config: conf}, ns, nil)
			if err != nil || got.control != "" {
				t.Errorf("one that is not asked for: %q, %v", got.control, err)
			}
		})
	}
}
