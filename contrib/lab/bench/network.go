// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"strings"
)

// network is life on named networks, a user's and root's: starts and stops, the memory of what stays
// beside the containers, and what goes through their published ports. Each contender has a network of
// its own.
func network() Group {
	units := "for who in podunit runc crun; do podunit network exists bench-$who || podunit network create bench-$who >/dev/null; done\n" +
		"for i in $(seq 10); do kind=net$i; " + container("Network=bench-@") + "\ndone\n" +
		"for i in 1 2; do kind=pub$i; " + container("Network=bench-@\nPublishPort=127.0.0.1:%PORT:80") + "\ndone\nconvert\n"
	g := Group{Name: "network", Title: "containers on a named network", Setup: common + units, Root: ofRoot(common+units) + pssScript}
	for _, k := range []struct{ whose, user, systemctl string }{
		{"a user's", "alice", "systemctl --user"}, {"root's", "root", "systemctl"},
	} {
		g.Cases = append(g.Cases, networkLife(k.whose, k.user, k.systemctl)...)
	}
	g.Cases = append(g.Cases, networkMemory()...)
	g.Cases = append(g.Cases, sent("a user's: through a published port", "alice", "--network bench", 18502),
		sent("root's: through a published port", "root", "--network bench", 18504))
	return g
}

// ofRoot is a script like common, with the places and the manager of root.
func ofRoot(script string) string {
	return strings.NewReplacer("~/.config/containers", "/etc/containers", "~/.config/systemd/user", "/etc/systemd/system",
		"quadlet -user ", "quadlet ", "systemctl --user", "systemctl").Replace(script)
}

// networkLife has containers that publish nothing start and stop, alone and beside others.
func networkLife(whose, user, systemctl string) (cases []Case) {
	for _, k := range []struct {
		title               string
		share               float64
		prepare, run, after string // %s is the contender
	}{
		{"the first starts", 1, "stop net{1..10}-%s", "start net1-%s", ""},
		{"the last stops", 1, "stop net{2..10}-%s; start net1-%[1]s; sleep 0.2", "stop net1-%s", ""},
		{"the tenth starts", 1, "start net{1..9}-%s", "start net10-%s", "stop net10-%s; sleep 0.2"},
		{"the tenth stops", 1, "start net{1..10}-%s; sleep 0.2", "stop net10-%s", ""},
		{"ten start at once", 0.5, "stop net{1..10}-%s", "start net{1..10}-%s", ""},
		{"ten stop at once", 0.5, "start net{1..10}-%s; sleep 0.2", "stop net{1..10}-%s", ""},
	} {
		c := Case{Name: whose + ": " + k.title, Unit: "ms", Share: k.share, Targets: map[string]float64{withRunc: 0.5, withCrun: 1}}
		for _, who := range []struct{ name, short string }{{Ours, "podunit"}, runtimes[0], runtimes[1]} {
			script := func(s string) string {
				if s == "" {
					return ""
				}
				s = strings.ReplaceAll(strings.ReplaceAll(s, "%[1]s", who.short), "%s", who.short)
				return strings.NewReplacer("start ", systemctl+" start ", "stop ", systemctl+" stop ").Replace(s)
			}
			c.Contenders = append(c.Contenders, Contender{Name: who.name, User: user, Prepare: script(k.prepare), Run: script(k.run), After: script(k.after)})
		}
		cases = append(cases, c)
	}
	return cases
}

// networkMemory is what a user's containers add to the memory of helpers, each in MB. It begins with
// no container on the contender's network.
func networkMemory() (cases []Case) {
	for _, k := range []struct {
		title         string
		before, start string // units of the contender %s
		n             int
		most          float64
	}{
		{"the first, which publishes a port", "", "pub1-%s", 1, 20},
		{"each of nine more that publish none", "pub1-%s", "net{1..9}-%s", 9, 0.5},
		{"one more that publishes a port", "pub1-%s", "pub2-%s", 1, 0},
	} {
		c := Case{Name: "a user's memory: " + k.title, Unit: "MB", Share: 0.25, Most: k.most}
		for _, who := range []struct{ name, short string }{{Ours, "podunit"}, runtimes[0]} {
			all := strings.ReplaceAll("net{1..10}-% pub{1,2}-%", "%", who.short)
			prepare := systemctl + " stop " + all
			if k.before != "" {
				prepare += "; " + systemctl + " start " + fmt.Sprintf(k.before, who.short) + "; sleep 1"
			}
			c.Contenders = append(c.Contenders, Contender{
				Name: who.name, User: "root", Prepare: prepare,
				Run: "before=$(bench-pss); " + systemctl + " start " + fmt.Sprintf(k.start, who.short) +
					fmt.Sprintf("; sleep 2; echo \"$(bench-pss) $before\" | awk '{ printf \"%%.3f\", ($1 - $2) / 1024 / %d }'", k.n),
				After: systemctl + " stop " + all,
			})
		}
		cases = append(cases, c)
	}
	return cases
}

// sent sends to a container for two seconds through a port of loopback that it publishes, and tells
// how long a gigabyte takes. Both have the same parts of Debian: what differs is how they are put
// together.
func sent(title, user, network string, port int) Case {
	c := Case{Name: title, Unit: "s per GB", Share: 0.5, Targets: map[string]float64{withRunc: 1}}
	for i, who := range []struct{ name, program, flags string }{{Ours, "podunit", ""}, {withRunc, "podman --runtime runc", "--pids-limit 0"}} {
		c.Contenders = append(c.Contenders, Contender{
			Name: who.name, User: user,
			Prepare: fmt.Sprintf(`%[1]s image exists %[2]s || %[1]s pull -q %[2]s
[ -z "%[3]s" ] || %[1]s network exists bench || %[1]s network create bench
%[1]s run -d --name throughput %[3]s %[4]s -p 127.0.0.1:%[5]d:5201 -v /usr:/usr:ro %[2]s iperf3 -s
# It serves one client at a time, and answers an early one not at all.
until [ "$(iperf3 -c 127.0.0.1 -p %[5]d -t 1 -J | jq '.end.sum_received.bits_per_second > 0')" = true ]; do sleep 0.5; done`, who.program, image, network, who.flags, port+i),
			Run:   fmt.Sprintf("until iperf3 -c 127.0.0.1 -p %d -t 2 -J | jq -e '.end.sum_received.bits_per_second | if . then 8e9 / . else null end'; do sleep 0.5; done | tail -n 1", port+i),
			After: who.program + " rm -f -t 0 throughput",
		})
	}
	return c
}
