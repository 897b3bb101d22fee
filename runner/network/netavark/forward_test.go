// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.podman.io/common/libnetwork/types"
)

// fakePesto is a pesto that notes its words, and fails where one of them has fails in it.
func fakePesto(t *testing.T, fails string) (program string, said func() string) {
	t.Helper()
	dir := t.TempDir()
	program = filepath.Join(dir, "pesto")
	script := "#!/bin/sh\necho \"$*\" >>" + dir + "/said\ncase \"$*\" in *" + fails + "*) echo 'no such rule'; exit 1 ;; esac\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func() string {
		data, err := os.ReadFile(filepath.Join(dir, "said"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(dir, "said"))
		return string(data)
	}
}

var web = []types.PortMapping{
	{HostPort: 8080, ContainerPort: 80, Range: 1, Protocol: "tcp"},
	{HostIP: "127.0.0.1", HostPort: 5300, ContainerPort: 53, Range: 3, Protocol: "udp"},
}

// TestForward has pasta listen, and no longer listen.
func TestForward(t *testing.T) {
	program, said := fakePesto(t, "never")
	f := &Forward{Pesto: program, Ports: web}
	if err := f.listen(context.Background(), "/run/socket"); err != nil {
		t.Fatal(err)
	}
	if got, want := said(), "-A -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	f.leave(context.Background(), "/run/socket")
	if got, want := said(), "-D -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// One is not there: the others are taken back all the same.
	f.Pesto, said = fakePesto(t, "8080")
	f.leave(context.Background(), "/run/socket")
	if got, want := said(), "-D -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n-D -t 8080 /run/socket\n-D -u 127.0.0.1/5300-5302 /run/socket\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := f.listen(context.Background(), "/run/socket"); err == nil || !strings.Contains(err.Error(), "no such rule") {
		t.Errorf("what pesto says: %v", err)
	}
}

// TestForwardOrNot: who cannot have the one pasta for its ports is to have its own, but not once it has begun.
func TestForwardOrNot(t *testing.T) {
	shared := t.TempDir()
	held(t, shared)
	h, _ := ReadShared(shared)
	h.Control = "/run/socket"
	for name, tc := range map[string]struct {
		control, fails string
		begun          bool
		said           string
		routed, fault  bool
	}{
		"the first time":                {"/run/socket", "never", false, "-A -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n", false, false},
		"again":                         {"/run/socket", "never", true, "-D -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n-A -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n", false, false},
		"a pasta that takes no orders":  {"", "never", false, "", true, false},
		"one that refuses":              {"/run/socket", "-A", false, "-A -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n", true, false},
		"another one that takes none":   {"", "never", true, "", false, true},
		"another one, and that refuses": {"/run/socket", "-A", true, "-D -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n-A -t 8080 -u 127.0.0.1/5300-5302 /run/socket\n", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h.Control = tc.control
			if err := h.Save(shared); err != nil {
				t.Fatal(err)
			}
			program, said := fakePesto(t, tc.fails)
			c := &Connection{Shared: shared, Begun: tc.begun, Forward: &Forward{program, web}, Ports: ruled(web)}
			if err := c.forward(context.Background()); (err != nil) != tc.fault {
				t.Errorf("%v", err)
			}
			if got := said(); got != tc.said {
				t.Errorf("%q, want %q", got, tc.said)
			}
			if c.Routed != tc.routed || (c.Forward == nil) != tc.routed || (c.Ports == nil) != tc.routed {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestSetForward: the rules behind pasta do not tell addresses of the machine apart, and there is one way in.
func TestSetForward(t *testing.T) {
	s := newStore(t, version114)
	for _, n := range []New{{Name: "a"}, {Name: "six", IPv6: true}, {Name: "inside", Internal: true}} {
		if _, err := s.Create(n); err != nil {
			t.Fatal(err)
		}
	}
	prepare := func(id string, networks ...string) *Connection {
		t.Helper()
		c := Connection{ID: id, Name: id}
		for _, name := range networks {
			c.Networks = append(c.Networks, Endpoint{Name: name})
		}
		p, err := s.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	one := prepare("one", "six")
	if four, six := one.Families(); !four || !six {
		t.Errorf("IPv4 %v, IPv6 %v of a network with both", four, six)
	}
	if four, six := prepare("one", "a").Families(); !four || six {
		t.Errorf("IPv4 %v, IPv6 %v of a network with IPv4", four, six)
	}
	f := &Forward{Pesto: "pesto", Ports: web}
	if !one.SetForward(s, f) || one.Forward != f || len(one.Ports) != 2 || one.Ports[1].HostIP != "" || one.Ports[1].ContainerPort != 53 {
		t.Errorf("%+v", one)
	}
	dir := t.TempDir()
	if err := one.note(dir); err != nil {
		t.Fatal(err)
	}
	if c := prepare("two", "a", "six"); c.SetForward(s, &Forward{Ports: []types.PortMapping{{HostPort: 1, Range: 1, Protocol: "tcp"}}}) {
		t.Error("on two networks")
	}
	if c := prepare("two", "inside"); c.SetForward(s, &Forward{Ports: []types.PortMapping{{HostPort: 1, Range: 1, Protocol: "tcp"}}}) {
		t.Error("on an internal one")
	}
	for name, tc := range map[string]struct {
		id   string
		port types.PortMapping
		want bool
	}{
		"in the range":            {"two", types.PortMapping{HostIP: "192.0.2.1", HostPort: 5302, Range: 2, Protocol: "udp"}, false},
		"behind it":               {"two", types.PortMapping{HostIP: "192.0.2.1", HostPort: 5303, Range: 1, Protocol: "udp"}, true},
		"of the other protocol":   {"two", types.PortMapping{HostPort: 5302, Range: 1, Protocol: "tcp"}, true},
		"its own, made once more": {"one", types.PortMapping{HostPort: 5302, Range: 1, Protocol: "udp"}, true},
	} {
		if c := prepare(tc.id, "a"); c.SetForward(s, &Forward{Ports: []types.PortMapping{tc.port}}) != tc.want {
			t.Errorf("%s: not %v", name, tc.want)
		}
	}
}
