// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabFamilies: what a container reaches when the machine's network comes and goes after its
// start, on a pasta of its own and on a named network. networks.md has the same table.
func TestLabFamilies(t *testing.T) {
	lab := boot(t, labtest.Options{NoRoute: true})
	lab.MustRun("root", `ip link set host0 down; ip netns add far; ip -n far link set lo up; ip link add cable type veth peer name cable netns far; ip link set cable up
ip -n far link set cable up; ip -n far address add 192.0.2.2/24 dev cable; ip -n far address add fd10::2/64 dev cable nodad
ip -n far address add 203.0.113.9/32 dev lo; ip -n far address add fd11::9/128 dev lo
ip netns exec far python3 -m http.server -b :: 9000 -d /etc/podunit-lab >/dev/null 2>&1 &`)
	lab.MustRun("alice", "podunit network create --ipv6 both")
	up := map[string]string{
		"4": "ip address add 192.0.2.1/24 dev cable; ip route add default via 192.0.2.2; ",
		"6": "ip address add fd10::1/64 dev cable nodad; ip -6 route add default via fd10::2 dev cable; ",
	}
	const down = "ip address flush dev cable scope global; ip -6 route flush dev cable proto boot; "
	address := map[string]string{"4": "203.0.113.9", "6": "[fd11::9]"}
	for _, test := range []struct{ name, start, reaches string }{
		{"none", "", "46"},
		{"IPv4", "4", "4"},
		{"IPv6", "6", "6"},
		{"both", "46", "46"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := lab.on(t)
			change := func(families string) {
				script := down
				for _, f := range families {
					script += up[string(f)]
				}
				l.MustRun("root", script)
			}
			reach := func(families string) {
				for _, name := range []string{"own", "named"} {
					for f := range address {
						ask := "podunit exec " + name + " wget -qO- -T 3 http://" + address[f] + ":9000/ | grep -q listing"
						if strings.Contains(families, f) {
							l.Eventually("alice", ask, time.Minute)
						} else {
							l.MustRun("alice", "! "+ask)
						}
					}
				}
			}
			change(test.start)
			l.MustRun("alice", "podunit run -d --name own --network pasta "+image+" sleep 1000; podunit run -d --name named --network both "+image+" sleep 1000")
			change("46")
			reach(test.reaches)
			change("")
			reach("")
			change("46")
			reach(test.reaches)
			l.MustRun("alice", "systemctl --user restart podunit-netns.service; podunit restart -t 0 own")
			reach("46")
			l.MustRun("alice", "podunit rm -f -t 0 own named")
		})
	}
}
