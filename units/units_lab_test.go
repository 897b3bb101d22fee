// SPDX-License-Identifier: Apache-2.0

//go:build lab

package units

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// install puts the unit files where make install does.
func install(t *testing.T, l *labtest.Lab) {
	t.Helper()
	for _, name := range files(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l.WriteFile("root", "/usr/lib/systemd/"+name, string(data))
	}
	l.MustRun("root", "systemctl daemon-reload && systemctl restart user@1000.service")
}

func TestLabVerify(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{Bare: true, NoImages: true})
	install(t, l)
	for _, c := range []struct{ user, script string }{
		{"root", "systemd-analyze verify user@1000.service 2>&1 | grep -i podunit"},
		{"alice", "systemd-analyze --user verify podman-user-wait-network-online.service 2>&1 | grep -i podunit"},
	} {
		if out, _, _ := l.Run(c.user, c.script); out != "" {
			t.Errorf("%s:\n%s", c.script, out)
		}
	}
}

// TestLabBurst writes 100,000 lines faster than journald's default limit allows.
func TestLabBurst(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{Bare: true, NoImages: true})
	// The lab's own journald has no limit; give it Debian's, for a time that no machine is too slow
	// for.
	l.MustRun("root", `mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nRateLimitIntervalSec=1h\nRateLimitBurst=10000\n' >/etc/systemd/journald.conf.d/zz-limit.conf
systemctl restart systemd-journald`)
	l.MustRun("root", `cat >/tmp/burst <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/run/systemd/journal/socket")
for i in range(100000):
    s.send(("PRIORITY=6\nCONTAINER_ID_FULL=%s\nMESSAGE=line %d\n" % (sys.argv[1], i)).encode())
END`)
	count := func(id string) string {
		l.MustRun("alice", "systemd-run --user --quiet --wait python3 /tmp/burst "+id)
		l.MustRun("root", "journalctl --sync")
		return l.MustRun("alice", "journalctl --quiet --output=cat CONTAINER_ID_FULL="+id+" | wc -l")
	}
	if n := count("before"); n == "100000" {
		t.Error("all lines arrive anyway: the test proves nothing")
	} else {
		t.Logf("without the drop-in %s of 100000 lines arrive", n)
	}
	install(t, l)
	if n := count("after"); n != "100000" {
		t.Errorf("%s of 100000 lines arrive", n)
	}
}

// TestLabWait starts Podman's unit where nothing will ever reach network-online.target.
func TestLabWait(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{Bare: true, NoImages: true})
	install(t, l)
	l.MustRun("root", "systemctl stop network-online.target")
	before := time.Now()
	l.MustRun("alice", "systemctl --user restart podman-user-wait-network-online.service")
	if d := time.Since(before); d > 45*time.Second { // Podman's own gives up after 90
		t.Errorf("it waited for %s", d)
	}
	// While a job is on its way to the target it waits, and stops when that is done.
	l.MustRun("root", `cat >/run/systemd/system/slow.service <<'END'
[Unit]
Before=network-online.target
[Service]
Type=oneshot
ExecStart=sh -c 'until test -e /run/go; do sleep 0.1; done'
END
mkdir -p /run/systemd/system/network-online.target.wants
ln -s ../slow.service /run/systemd/system/network-online.target.wants/
systemctl daemon-reload
systemctl start --no-block network-online.target`)
	const state = "systemctl --user show -P ActiveState podman-user-wait-network-online.service"
	l.MustRun("alice", "systemctl --user restart --no-block podman-user-wait-network-online.service")
	l.Eventually("alice", state+" | grep -x activating", time.Minute)
	// It looks twice a second.
	if got := l.MustRun("alice", "sleep 2; "+state); got != "activating" {
		t.Errorf("with a job under way it is %s", got)
	}
	l.MustRun("root", "touch /run/go")
	before = time.Now()
	l.Eventually("alice", state+" | grep -x active", time.Minute)
	if d := time.Since(before); d > 45*time.Second {
		t.Errorf("when the job was done it waited for another %s", d)
	}
	if got := strings.TrimSpace(l.MustRun("root", "systemctl is-active network-online.target")); got != "active" {
		t.Errorf("the target is %s", got)
	}
}
