// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/netns"
	"github.com/vishvananda/netlink"
	"go.podman.io/common/libnetwork/types"
)

// TestAnswers reads answers to a setup: the one that Debian 12's netavark gave, with the search
// domain of its time, and one without search domain and gateway, as the release notes say that 1.15
// and later give it for an internal network.
func TestAnswers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces")
	}
	for version, tc := range map[string]struct{ answer, servers, search, addresses, gateway string }{
		"1.4.0": {
			`{"a":{"dns_search_domains":["dns.podman"],"dns_server_ips":["10.89.50.1"],"interfaces":{"eth0":{"mac_address":"9e:2b:a2:4a:aa:65","subnets":[{"gateway":"10.89.50.1","ipnet":"10.89.50.2/24"}]}}}}`,
			"[10.89.50.1]", "[dns.podman]", "[10.89.50.2]", "10.89.50.1"},
		"1.17.1": {
			`{"a":{"dns_server_ips":["10.89.50.1","fd00:50::1"],"interfaces":{"eth0":{"mac_address":"9e:2b:a2:4a:aa:65","subnets":[{"ipnet":"10.89.50.2/24"},{"ipnet":"fd00:50::2/64"}]}}}}`,
			"[10.89.50.1 fd00:50::1]", "[]", "[10.89.50.2 fd00:50::2]", "<nil>"},
	} {
		dir := t.TempDir()
		s := newStore(t, `[ "$1" = --version ] && { echo netavark `+version+`; exit; }
/bin/cat >`+dir+`/request; echo '`+tc.answer+`'`)
		if _, err := s.Create(t.Context(), New{Name: "a", Subnets: []types.Subnet{cidr(t, "10.89.50.0/24")}}); err != nil {
			t.Fatal(err)
		}
		c, err := s.Prepare(Connection{ID: "0123456789abcdef", Name: "c", Networks: []Endpoint{{Name: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		ns, err := netns.Anonymous()
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		err = netns.Do(ns, func() error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "eth0"
			return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.make(context.Background(), ns, func(do func() error) error { return do() }); err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		got := fmt.Sprint(c.Nameservers(), c.Search(), c.Addresses(), c.Gateway())
		if want := tc.servers + " " + tc.search + " " + tc.addresses + " " + tc.gateway; got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
		// A list would be read by 2.0 and later alone.
		if request, err := os.ReadFile(filepath.Join(dir, "request")); err != nil || !strings.Contains(string(request), `"networks":{"a":`) {
			t.Errorf("%s: %s, %v", version, request, err)
		}
	}
}

// TestNetavarkThatCannotBegin: who has no time left before netavark is started was too slow, as who
// has none left afterwards.
func TestNetavarkThatCannotBegin(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), -1, SlowError{time.Second})
	defer cancel()
	c := Connection{Netavark: "/bin/true"}
	_, err := output(ctx, c.command(ctx, "setup"), "setup", func(start func() error) error { return start() })
	if !errors.As(err, &SlowError{}) || err.Error() != "netavark setup: it takes more than 1s" {
		t.Error(err)
	}
}
