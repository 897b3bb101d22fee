// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestWaitOnline(t *testing.T) {
	for _, tt := range []struct {
		name         string
		routed       func(look int) bool
		noManager    bool
		coming       func(look int) bool
		limit        time.Duration
		looks, waits int
	}{
		{name: "routed", routed: func(int) bool { return true }, looks: 0},
		{name: "no manager to ask", noManager: true},
		{name: "nothing will reach it", coming: func(int) bool { return false }, looks: 1},
		{name: "it is reached", coming: func(n int) bool { return n < 3 }, looks: 3, waits: 1},
		{name: "a route comes first", coming: func(int) bool { return true }, routed: func(n int) bool { return n > 2 }, looks: 2, waits: 1},
		{name: "it takes too long", coming: func(int) bool { return true }, limit: time.Nanosecond, looks: 1, waits: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			looks, waits, routes, closed := 0, 0, 0, false
			o := onlineWait{poll: time.Millisecond, limit: time.Minute}
			if tt.limit > 0 {
				o.limit, o.poll = tt.limit, time.Minute
			}
			o.routed = func() bool { routes++; return tt.routed != nil && tt.routed(routes) }
			o.coming = func(context.Context) (func() bool, func()) {
				if tt.noManager {
					return nil, nil
				}
				return func() bool { looks++; return tt.coming(looks) }, func() { closed = true }
			}
			if err := o.wait(context.Background(), func() { waits++ }); err != nil {
				t.Error(err)
			}
			if looks != tt.looks || waits != tt.waits || closed != (tt.looks > 0) {
				t.Errorf("looks %d, waits %d, closed %t", looks, waits, closed)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := onlineWait{routed: func() bool { return false }, poll: time.Minute, limit: time.Minute, coming: func(context.Context) (func() bool, func()) {
		return func() bool { return true }, func() {}
	}}
	if err := o.wait(ctx, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestReadRoutes(t *testing.T) {
	const (
		head   = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		subnet = "eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
		route  = "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
		refuse = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
		link6  = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n" +
			"fe800000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001     eth0\n" +
			"ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0\n"
		subnet6 = "fd000001000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n"
		route6  = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
	)
	for _, tt := range []struct {
		name, v4, v6 string
		want         routes
	}{
		{"nothing", head, "", routes{}},
		{"a subnet only", head + subnet, refuse, routes{any4: "eth0"}},
		{"IPv4", head + strings.ReplaceAll(subnet, "eth0", "eth1") + route, refuse, routes{any4: "eth1", default4: "eth0"}},
		{"IPv6", head + subnet, route6 + refuse, routes{any4: "eth0", any6: "eth0", default6: "eth0"}},
		{"IPv4 and IPv6", head + route, route6, routes{any4: "eth0", default4: "eth0", any6: "eth0", default6: "eth0"}},
		{"IPv6 on the link only", head, link6 + refuse, routes{}},
		{"an IPv6 network without a router", head, link6 + subnet6 + refuse, routes{any6: "eth0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read := func(path string) ([]byte, error) {
				if strings.HasSuffix(path, "/ipv6_route") {
					if tt.v6 == "" {
						return nil, os.ErrNotExist
					}
					return []byte(tt.v6), nil
				}
				return []byte(tt.v4), nil
			}
			got := readRoutes(read)
			if got != tt.want {
				t.Errorf("got %+v", got)
			}
			// IPv4 may be about to come as long as there is IPv6 only.
			if got.online() != strings.Contains(tt.name, "IPv4") {
				t.Errorf("online: %t", got.online())
			}
		})
	}
}
