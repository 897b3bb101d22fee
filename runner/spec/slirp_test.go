// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"slices"
	"strings"
	"testing"
)

// TestSlirp has each option of slirp4netns do with pasta what it did.
func TestSlirp(t *testing.T) {
	const notice = "slirp4netns: pasta is used in its place"
	for in, want := range map[string]struct{ options, notice string }{
		"slirp4netns":                                       {"", notice},
		"slirp4netns:mtu=1500,enable_ipv6=true":             {"--mtu 1500", notice},
		"slirp4netns:enable_ipv6=false":                     {"--ipv4-only", notice},
		"slirp4netns:allow_host_loopback=false":             {"", notice},
		"slirp4netns:allow_host_loopback=true":              {"--address 10.0.2.100 --netmask 24 --gateway 10.0.2.2 --map-gw", notice},
		"slirp4netns:cidr=192.168.0.0/16":                   {"--address 192.168.0.100 --netmask 16 --gateway 192.168.0.2", notice},
		"slirp4netns:outbound_addr=eth1":                    {"--outbound-if4 eth1", notice},
		"slirp4netns:outbound_addr6=fd00::1":                {"--outbound fd00::1", notice},
		"slirp4netns:port_handler=slirp4netns,mtu=65520":    {"--mtu 65520", notice + ", where port_handler=slirp4netns has no meaning"},
		"slirp4netns:outbound_addr=10.0.0.1,enable_ipv6=no": {"", ""},
	} {
		n, err := ParseNetwork(in)
		if want.notice == "" {
			if err == nil {
				t.Errorf("%s: no error", in)
			}
			continue
		}
		if err != nil || n.Mode != NetPasta || !slices.Equal(n.Options, strings.Fields(want.options)) || n.Notice != want.notice {
			t.Errorf("%s: %+v, %v", in, n, err)
		}
	}
	c, err := parseContainer("--network", "slirp4netns", "x")
	if err != nil || !slices.Equal(c.Warnings, []string{notice}) {
		t.Errorf("the container is told %q, %v", c.Warnings, err)
	}
}
