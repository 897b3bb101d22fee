// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestRulesThatAreThere: netavark, a script that notes its driver, looks at the rules of a user's
// network once in each namespace, and again when it may have removed them, and for another network
// of that name.
func TestRulesThatAreThere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	for _, tt := range []struct{ installed, configured, first, second string }{
		{"1.14.0", "", "", "none"},
		{"1.17.2", "nftables", "nftables", "none"},
		{"1.17.2", "iptables", "iptables", "iptables"},
		{"1.4.0", "", "", ""},
		{"of nobody", "", "", ""},
	} {
		t.Run(tt.installed+" "+tt.configured, func(t *testing.T) {
			at := t.TempDir()
			s := newStore(t, fmt.Sprintf(`[ "$1" = --version ] && { echo netavark %s; exit; }
case "$*" in *setup*) echo "$NETAVARK_FW" >%s/driver;; esac; echo '{}'`, tt.installed, at))
			s.Config.Network.FirewallDriver = tt.configured
			if _, err := s.Create(t.Context(), New{Name: "a"}); err != nil {
				t.Fatal(err)
			}
			shared := filepath.Join(at, "netns")
			if err := os.Mkdir(shared, 0o700); err != nil {
				t.Fatal(err)
			}
			held(t, shared)
			ns, here := inside(t), func(do func() error) error { return do() }
			setup := func(id, what, want string) *Connection {
				t.Helper()
				c, err := s.Prepare(Connection{ID: id, Name: id, Shared: shared, Networks: []Endpoint{{Name: "a"}}})
				if err != nil {
					t.Fatal(err)
				}
				if err := c.make(t.Context(), ns, here); err != nil {
					t.Fatal(err)
				}
				if got, err := os.ReadFile(filepath.Join(at, "driver")); err != nil || string(got) != want+"\n" {
					t.Errorf("%s: driver %q, want %q", what, got, want)
				}
				return c
			}
			setup("one", "the first", tt.first)
			c := setup("two", "the second", tt.second)
			setup("three", "the third", tt.second)
			if c.Lost() {
				t.Error("the namespace is lost")
			}
			held(t, shared)
			if !c.Lost() {
				t.Error("its links are in a namespace that was lost")
			}
			setup("four", "in another namespace", tt.first)
			setup("five", "again there", tt.second)
			if _, err := c.call(t.Context(), "teardown", c.request(), ns, here); err != nil {
				t.Fatal(err)
			}
			setup("six", "after a teardown", tt.first)
			n, err := s.Get("a")
			if err := errors.Join(err, s.Remove(t.Context(), "a", func(Network) error { return nil })); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Create(t.Context(), New{Name: "a", Interface: n.NetworkInterface}); err != nil {
				t.Fatal(err)
			}
			setup("seven", "another network", tt.first)
		})
	}
}
