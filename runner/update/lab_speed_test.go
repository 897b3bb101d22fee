// SPDX-License-Identifier: Apache-2.0

//go:build lab

package update

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/machine"
)

// 50 units on 40 images from a registry that takes 50 ms for each answer, beside Podman's of bob.
func TestLabUpdateSpeed(t *testing.T) {
	l := boot(t)
	const units, images = 50, 40
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=2s\n")
	l.push("seed:1", "1", sleeps)
	long := func(user, script string) string {
		return l.MustCommand(machine.Command{User: user, Timeout: 6 * time.Minute, Args: []string{script}})
	}
	long("root", fmt.Sprintf("for i in $(seq 0 %d); do skopeo copy -q docker://localhost:5000/seed:1 docker://localhost:5000/s$i:1; done", images-1))
	for user, program := range map[string]string{"alice": "podunit", "bob": "podman"} {
		long(user, fmt.Sprintf("%[1]s pull -q localhost:5000/seed:1 && for i in $(seq 0 %[2]d); do %[1]s tag localhost:5000/seed:1 localhost:5001/s$i:1; done", program, images-1))
	}
	long("alice", fmt.Sprintf(`mkdir -p %[1]s; for i in $(seq 0 %[2]d); do printf '[Container]\nContainerName=u%%d\nImage=localhost:5001/s%%d:1\nNetwork=none\nAutoUpdate=registry\n' $i $((i %% %[3]d)) >%[1]su$i.container; done
		systemctl --user daemon-reload; systemctl --user start $(seq -f u%%g 0 %[2]d)`, dir, units-1, images))
	long("bob", fmt.Sprintf(`mkdir -p .config/systemd/user; for i in $(seq 0 %[1]d); do cat >.config/systemd/user/p$i.service <<END
[Service]
Environment=PODMAN_SYSTEMD_UNIT=%%n
KillMode=mixed
Type=notify
NotifyAccess=all
Delegate=yes
TimeoutStartSec=300
ExecStart=/usr/bin/podman run --name=p$i --replace --rm --cgroups=split --network=none --pids-limit=0 --sdnotify=conmon -d --label io.containers.autoupdate=registry localhost:5001/s$((i %% %[2]d)):1
ExecStop=/usr/bin/podman rm -f -i -t 1 p$i
END
	done; systemctl --user daemon-reload; for i in $(seq 0 %[1]d); do systemctl --user start p$i || exit; done`, units-1, images))
	l.MustRun("root", "systemd-run --quiet --collect --unit faults podunit-lab throttle --delay 50ms")
	l.Eventually("root", "curl -fsS localhost:5001/v2/_catalog", time.Minute)
	requests := func() int {
		n, err := strconv.Atoi(l.MustRun("root", "journalctl --sync; journalctl -q -b -u faults -o cat | grep -c /manifests/ || true"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// cost is what a command takes: time on the clock, and of processors.
	type cost struct{ wall, cpu float64 }
	timed := func(user, command string) (c cost, out string) {
		var sys float64
		out = long(user, "TIMEFORMAT='%R %U %S'; { time "+command+" >out 2>/dev/null; } 2>&1; sort out | uniq -c")
		if _, err := fmt.Sscan(out, &c.wall, &c.cpu, &sys); err != nil {
			t.Fatal(out, err)
		}
		c.cpu += sys
		_, out, _ = strings.Cut(out, "\n")
		return c, strings.TrimSpace(out)
	}
	best := map[string]cost{}
	round := func(user, program string) {
		before := requests()
		took, out := timed(user, program+" auto-update --dry-run --format '{{.Updated}}'")
		n := requests() - before
		t.Logf("%s: %.2f s, %.2f s of processors, %d requests for manifests: %s", program, took.wall, took.cpu, n, out)
		if user == "alice" && n > images {
			t.Errorf("%d requests for %d images", n, images)
		}
		if out != fmt.Sprintf("%d false", units) {
			t.Errorf("%s says %s", program, out)
		}
		least, known := best[user]
		if !known {
			least = took
		}
		best[user] = cost{min(least.wall, took.wall), min(least.cpu, took.cpu)}
	}
	for range 3 {
		round("alice", "podunit")
		round("bob", "podman")
		round("alice", "podunit")
	}
	if got := strings.Join(strings.Fields(l.MustRun("alice", "podunit auto-update --dry-run | head -n 1")), " "); got != "UNIT CONTAINER IMAGE POLICY UPDATED" {
		t.Errorf("columns: %s", got)
	}
	mine, theirs := best["alice"], best["bob"]
	load, busy := l.Busy()
	t.Logf("a dry run: %.3f of Podman's time, %.2f of its processors', load %.1f", mine.wall/theirs.wall, mine.cpu/theirs.cpu, load)
	// A busy machine makes us wait for processors, and Podman for the registry: there only those
	// count.
	if mine.cpu > theirs.cpu || !busy && mine.wall > theirs.wall/8 { // the aim is a tenth; the rest is noise
		t.Errorf("a dry run takes %.2f s, %.2f s of processors; Podman's %.2f and %.2f", mine.wall, mine.cpu, theirs.wall, theirs.cpu)
	}
	l.push("s20:1", "2", sleeps)
	mine, _ = timed("alice", "podunit auto-update --format json")
	theirs, _ = timed("bob", "podman auto-update --format json")
	const updated, fields = "jq -r '.[].Updated' out | sort | uniq -c", "jq -c '.[0] | keys - [\"New\", \"Old\", \"Digest\", \"Note\"]' out"
	out, other := l.MustRun("alice", updated), l.MustRun("bob", updated)
	if a, b := l.MustRun("alice", fields), l.MustRun("bob", fields); a != b || out != other {
		t.Errorf("fields %s, Podman's %s; %s, Podman's %s", a, b, out, other)
	}
	t.Logf("an update of one of %d: %.3f of Podman's time: %.2f s (%s), Podman's %.2f s (%s)", units, mine.wall/theirs.wall, mine.wall, out, theirs.wall, other)
	_, busy = l.Busy()
	if !busy && mine.wall > theirs.wall/2.5 || mine.wall > theirs.wall { // the aim is a third
		t.Errorf("an update takes %.2f s, Podman's %.2f s", mine.wall, theirs.wall)
	}
	l.Eventually("alice", "podunit auto-update --history --format '{{.Unit}} {{.Result}}' | grep -x 'u20.service true'", time.Minute)
}
