// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// heldNetavark is netavark. If the file hold names a directory of runtime directories, it does one
// thing more: it keeps podunit from noting there the process that is to use the address 10.89.9.77,
// until the file go is there. It has the lock of the file that podunit would rename.
const heldNetavark = `#!/bin/bash
PATH=/usr/sbin:/usr/bin; cd /home/alice
if [[ $* == *setup* && -e hold ]]; then
	dir=$(dirname $(grep -l 10.89.9.77 $(cat hold)/*/networks.json)); rm hold
	(exec 9>$dir/status.json.new; flock 9; echo $dir >held; until [ -e go ]; do sleep 0.1; done) </dev/null >/dev/null 2>&1 &
	until [ -e held ]; do sleep 0.1; done
fi
exec /usr/lib/podman/netavark "$@"
`

// TestLabNamespaceLost: the namespace of a user's networks is lost, and made again, after a container
// or pod was connected to it and before its process is noted. Whoever makes the namespace again does
// not see it, so it connects itself.
func TestLabNamespaceLost(t *testing.T) {
	lab := boot(t, labtest.Options{})
	lab.WriteFile("alice", "bin/netavark", heldNetavark)
	lab.WriteFile("alice", ".config/containers/containers.conf", "[engine]\nhelper_binaries_dir = [\"/home/alice/bin\", \"/usr/lib/podman\", \"/usr/libexec/podman\", \"/usr/bin\"]\n")
	lab.MustRun("alice", "chmod 755 bin/netavark && podunit network create --subnet 10.89.9.0/24 front && podunit run -d --name peer --network front "+image+" sleep 1000")
	for _, c := range []struct{ name, runtimes, start, inside, end string }{
		{"in the foreground", "containers", "podunit run --name it --network front:ip=10.89.9.77 " + image + " sleep 1000", "it", "podunit rm -f -t 0 it"},
		{"at a terminal", "containers", "script -qec 'podunit run -it --name it --network front:ip=10.89.9.77 " + image + " sleep 1000' /dev/null", "it", "podunit rm -f -t 0 it"},
		{"a service", "containers", "podunit run -d --name it --network front:ip=10.89.9.77 " + image + " sleep 1000", "it", "podunit rm -f -t 0 it"},
		{"a pod", "pods", "podunit pod create --name it --network front:ip=10.89.9.77 && podunit run -d --pod it --name member " + image + " sleep 1000", "member", "podunit pod rm -f -t 0 it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := lab.on(t)
			l.MustRun("alice", "rm -f held go; echo $XDG_RUNTIME_DIR/podunit/"+c.runtimes+" >hold")
			l.MustRun("alice", "setsid bash -c "+quoted(c.start)+" </dev/null >out 2>&1 & ")
			// Podunit has the links, and waits for the lock of its note.
			l.Eventually("alice", "d=$(cat held) && grep -q 10.89.9.77 $d/networks.json && jq -e .Answer.front $d/networks.json && "+
				"for f in /proc/[0-9]*/fd/*; do [ $(readlink $f) != $d/status.json.new ] || readlink /proc/$(cut -d / -f 3 <<<$f)/exe; done 2>/dev/null | grep podunit", time.Minute)
			l.MustRun("alice", "kill -9 $(systemctl --user show -P MainPID podunit-netns)")
			// The unit looks for all containers before it connects the first of them.
			l.Eventually("alice", "podunit exec peer nslookup peer | grep 10.89.9", time.Minute)
			l.MustRun("alice", "touch go")
			l.Eventually("alice", "podunit exec "+c.inside+" ip -4 -o addr show eth0 | grep 10.89.9.77/24 && podunit exec "+c.inside+" nslookup peer | grep 10.89.9", time.Minute)
			l.Eventually("alice", "podunit exec peer wget -qO- -T 2 http://it/ 2>&1 | grep refused", time.Minute)
			l.MustRun("alice", c.end)
		})
	}
	t.Run("again, while all are connected again", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("alice", "podunit run -d --name second --network front "+image+" sleep 1000; systemctl --user set-environment 'PODUNIT_CRASH_AFTER=connected again'; kill -9 $(systemctl --user show -P MainPID podunit-netns)")
		l.Eventually("alice", "journalctl --user -b -o cat | grep 'killed after connected again'", time.Minute)
		l.MustRun("alice", "systemctl --user unset-environment PODUNIT_CRASH_AFTER")
		l.Eventually("alice", "for c in peer second; do podunit exec $c ip -4 -o addr show eth0 | grep 10.89.9 && podunit exec $c nslookup peer | grep 10.89.9 || exit 1; done; systemctl --user is-active podunit-netns", time.Minute)
	})
	t.Run("the last leaves while all are connected again", func(t *testing.T) {
		l := lab.on(t)
		// The unit reads who is connected when it has the namespace and is not up. Here it waits
		// for one that is a pipe.
		l.MustRun("alice", `podunit rm -f -t 0 second; mkdir pipe; mkfifo pipe/networks.json; link=$XDG_RUNTIME_DIR/podunit/networks/connected/pipe; ln -s ~/pipe/networks.json $link
kill -9 $(systemctl --user show -P MainPID podunit-netns); exec 9>pipe/networks.json; rm $link
podunit rm -f -t 0 peer && systemctl --user show -P ActiveState podunit-netns | grep -x activating && rm -r pipe`)
		l.Eventually("alice", "systemctl --user show -P ActiveState podunit-netns | grep -x inactive && [ -z \"$(ls -A $XDG_RUNTIME_DIR/podunit/networks/connected)\" ]", time.Minute)
	})
	t.Run("nothing is left", func(t *testing.T) {
		l := lab.on(t)
		l.MustRun("alice", "podunit rm -a -f -t 0 && podunit network rm front && podunit rmi -a -f")
		l.Eventually("alice", "systemctl --user show -P ActiveState podunit-netns | grep -x inactive", time.Minute)
		l.Gone("root", "ls -A /run/user/1000/podunit/networks/connected; pgrep -a -x 'pasta|pasta.avx2|aardvark-dns|podunit-infra|podunit-netns'")
	})
	t.Run("a pasta of its own", func(t *testing.T) { ownPastaKilled(lab.on(t)) })
}

// slowRunc is runc; the first time that it is to make a container, it waits for the file go.
const slowRunc = `#!/bin/bash
if [[ " $* " == *" run "* || " $* " == *" create "* ]] && mkdir /home/alice/slowed 2>/dev/null; then
	until [ -e /home/alice/go ]; do sleep 0.1; done
fi
exec runc "$@"
`

// ownPastaKilled kills the pasta of a container that has no process yet, at times before pasta itself
// is ready. The start fails and says why, and nothing is left. A service is started again by its
// unit.
func ownPastaKilled(l *Lab) {
	l.t.Helper()
	l.WriteFile("alice", "bin/slow", slowRunc)
	l.MustRun("alice", "chmod 755 bin/slow")
	// A pasta that was found may have gone to the background before it is killed.
	const pasta = "-u alice -x 'pasta|pasta.avx2'"
	const kill = "[ -e slowed ] && pgrep " + pasta + " && while pkill -9 " + pasta + "; do sleep 0.01; done && touch go"
	for _, how := range []string{"", "-d", "-it"} {
		l.MustRun("alice", "rm -rf slowed go out; setsid script -qec 'podunit --runtime ~/bin/slow run "+how+" --rm --name it "+image+" sleep 1000; echo status $?' out </dev/null >/dev/null 2>&1 &")
		l.Eventually("alice", kill, time.Minute)
		l.Eventually("alice", "tr -d '\\r' <out | grep -x 'status 125' || { cat out; ls -l --full-time slowed go; podunit ps -a; pgrep -a 'pasta|podunit|runc'; exit 1; } >&2", time.Minute)
		if out := l.MustRun("alice", "cat out"); !strings.Contains(out, "the network ended during the start: pasta") && !strings.Contains(out, "pasta: signal: killed") {
			l.t.Errorf("the start with %q says\n%s", how, out)
		}
		l.Gone("alice", "pgrep "+pasta+"; podunit ps -aq")
	}
	l.MustRun("alice", "rm -rf slowed go; mkdir -p .config/containers/systemd; printf '[Container]\\nContainerName=it\\nImage="+image+"\\nExec=sleep 1000\\nGlobalArgs=--runtime /home/alice/bin/slow\\nStopTimeout=0\\n[Service]\\nRestart=on-failure\\nRestartSec=0\\n' >.config/containers/systemd/it.container; systemctl --user daemon-reload; systemctl --user start --no-block it")
	l.Eventually("alice", kill, time.Minute)
	l.Eventually("alice", "systemctl --user is-active it && [ $(systemctl --user show -P NRestarts it) = 1 ] && podunit exec it ip route | grep ^default", time.Minute)
	l.MustRun("alice", "systemctl --user stop it")
}
