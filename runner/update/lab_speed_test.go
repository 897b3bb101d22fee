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
	l.Eventually("root", "curl -fsS localhost:5001/v2/_catalog", 20*time.Second)
	requests := func() int {
		n, err := strconv.Atoi(l.MustRun("root", "journalctl -q -b -u faults -o cat | grep -c /manifests/ || true"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	timed := func(user, command string) (time.Duration, string) {
		begun := time.Now()
		out := long(user, command)
		return time.Since(begun), out
	}
	best := map[string]time.Duration{}
	for range 3 {
		for user, command := range map[string]string{"alice": "podunit auto-update --dry-run", "bob": "podman auto-update --dry-run"} {
			before := requests()
			took, out := timed(user, command+" --format '{{.Updated}}' | sort | uniq -c")
			n := requests() - before
			t.Logf("%s: %s, %d requests for manifests: %s", command, took.Round(time.Millisecond), n, strings.TrimSpace(out))
			if user == "alice" && n > images {
				t.Errorf("%d requests for %d images", n, images)
			}
			if strings.TrimSpace(out) != fmt.Sprintf("%d false", units) {
				t.Errorf("%s says %s", command, out)
			}
			if best[user] == 0 || took < best[user] {
				best[user] = took
			}
		}
	}
	// The aims are a tenth, and a third below; a shared machine is judged by what no noise explains.
	if best["alice"] > best["bob"]/5 {
		t.Errorf("a dry run takes %s, Podman's %s", best["alice"], best["bob"])
	}
	l.push("s20:1", "2", sleeps)
	mine, out := timed("alice", "podunit auto-update --format '{{.Updated}}' | sort | uniq -c")
	theirs, other := timed("bob", "podman auto-update --format '{{.Updated}}' 2>/dev/null | sort | uniq -c")
	t.Logf("an update of one of %d: %s (%s), Podman's %s (%s)", units, mine.Round(time.Millisecond), out, theirs.Round(time.Millisecond), other)
	if mine > theirs/2 {
		t.Errorf("an update takes %s, Podman's %s", mine, theirs)
	}
	l.Eventually("alice", "podunit auto-update --history --format '{{.Unit}} {{.Result}}' | grep -x 'u20.service true'", time.Minute)
}
