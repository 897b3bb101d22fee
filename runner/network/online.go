// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"encoding/hex"
	"os"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/unit"
)

const (
	onlineTarget = "network-online.target"
	// onlineLimit is how long to wait at most: as long as Podman's own unit does.
	onlineLimit = 90 * time.Second
	onlinePoll  = 200 * time.Millisecond
)

// WaitOnline returns at once if the machine is on the network or is not about to be, and otherwise
// waits until either is so, for onlineLimit at most. It is for what needs a route to start with,
// pasta and pulls, in a unit of a user: a user's unit cannot be ordered after the system's
// network-online.target.
//
// About to be means that the system's manager has network-online.target among its jobs. Where
// nothing wants it, nothing will ever reach it. waiting, if not nil, is called before the first
// wait. Its error is that of ctx only.
func WaitOnline(ctx context.Context, uid int, waiting func()) error {
	return onlineWait{
		routed: func() bool { return readRoutes(os.ReadFile).online() },
		coming: func(ctx context.Context) (func() bool, func()) {
			m, err := unit.Connect(ctx, unit.Config{UID: uid, System: true})
			if err != nil {
				return nil, nil // nobody to ask
			}
			return func() bool {
				p, err := m.Properties(ctx, onlineTarget)
				return err == nil && p.HasJob && p.ActiveState != "active"
			}, m.Close
		},
		poll: onlinePoll, limit: onlineLimit,
	}.wait(ctx, waiting)
}

type onlineWait struct {
	routed      func() bool
	coming      func(context.Context) (ask func() bool, done func())
	poll, limit time.Duration
}

func (o onlineWait) wait(ctx context.Context, waiting func()) error {
	if o.routed() {
		return nil
	}
	coming, done := o.coming(ctx)
	if coming == nil {
		return ctx.Err()
	}
	defer done()
	limit := time.After(o.limit)
	for first := true; coming() && !o.routed(); first = false {
		if first && waiting != nil {
			waiting()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return nil
		case <-time.After(o.poll):
		}
	}
	return ctx.Err()
}

// routes are the devices by which packets leave the machine, empty where there is none.
type routes struct {
	default4, default6 string
	any4, any6         string // the first device with any route, for IPv6 beyond the link
}

// online reports whether nobody need wait for more. A route of IPv6 alone does not do: at a boot it
// may come first, and a pasta never gives its container the family that the machine lacked when it
// started.
func (r routes) online() bool { return r.default4 != "" }

// readRoutes looks for routes to everywhere on any device but loopback.
// Source: proc_pid_net(5), route and ipv6_route.
func readRoutes(read func(string) ([]byte, error)) routes {
	const zero6 = "00000000000000000000000000000000"
	var r routes
	if data, err := read("/proc/thread-self/net/route"); err == nil {
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			if len(f) < 8 || f[0] == "Iface" {
				continue
			}
			if r.any4 == "" {
				r.any4 = f[0]
			}
			if r.default4 == "" && f[1] == "00000000" && f[7] == "00000000" {
				r.default4 = f[0]
			}
		}
	}
	if data, err := read("/proc/thread-self/net/ipv6_route"); err == nil {
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line)
			// The kernel's own entry that refuses everything is on lo.
			if len(f) < 10 || f[9] == "lo" || ofLink(f[0]) {
				continue
			}
			if r.any6 == "" {
				r.any6 = f[9]
			}
			if f[0] == zero6 && f[1] == "00" {
				r.default6 = f[9]
				break
			}
		}
	}
	return r
}

// ofLink reports whether an IPv6 destination, as 32 hexadecimal digits, is link-local (fe80::/10)
// or multicast (ff00::/8): each device has such.
func ofLink(destination string) bool {
	b, err := hex.DecodeString(destination)
	return err != nil || len(b) < 2 || b[0] == 0xff || b[0] == 0xfe && b[1]&0xc0 == 0x80
}
