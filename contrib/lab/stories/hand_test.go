// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// byHand: what somebody does at a shell, without unit files.
func byHand(t *testing.T, l *labtest.Lab) {
	newUser(l, "hanna")
	l.MustRun("hanna", "podunit pull -q localhost:5000/busybox")
	// Between two restarts: there is a unit, but no process.
	const gap = `for i in $(seq 500); do [ "$(systemctl --user show -P SubState brief)" = auto-restart ] && break; sleep 0.01; done; `
	const start = `podunit run -d --name brief --network none --restart always localhost:5000/busybox sleep 0.2 >/dev/null; ` + gap
	for _, c := range []struct{ name, script, want string }{
		{"stop between two restarts", start + "podunit stop brief; sleep 1.5; podunit ps -q; podunit rm brief", "brief\nbrief"},
		{"rm between two restarts is refused", start + "podunit rm brief 2>&1 | grep -o 'use --force'; podunit stop brief; podunit rm brief", "use --force\nbrief\nbrief"},
		{"rm --force between two restarts", start + "podunit rm -f brief", "brief"},
		{"run --replace between two restarts", start + "podunit run -d --replace --name brief --network none localhost:5000/busybox sleep 1000 | wc -l; podunit rm -f -t 0 brief", "1\nbrief"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := l.For(t)
			if got := strings.TrimSpace(l.MustRun("hanna", c.script+"; systemctl --user list-units --all --no-legend 'brief*'")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("what was said before the verb holds for the service and for exec", func(t *testing.T) {
		l := l.For(t)
		l.WriteFile("hanna", ".config/containers/containers.conf.modules/blue.conf", "[containers]\nenv = [\"COLOR=blue\"]\n")
		l.MustRun("hanna", `podunit --module=blue.conf --runtime=crun run -d --name other --network none localhost:5000/busybox sleep 1000`)
		for range 2 {
			if got := l.MustRun("hanna", `podunit exec other env | grep COLOR=; podunit inspect -f '{{.OCIRuntime}}' other`); got != "COLOR=blue\ncrun" {
				t.Errorf("got %q", got)
			}
			l.MustRun("hanna", "podunit stop -t 0 other; podunit --module=blue.conf start other")
		}
		// crun keeps compiled seccomp filters for the next time.
		l.MustRun("hanna", "podunit rm -f -t 0 other; rm -r $XDG_RUNTIME_DIR/podunit/runc/.cache")
	})
	t.Run("it is podunit under any name", func(t *testing.T) {
		l := l.For(t)
		// A storage opened outside of the namespaces would be one for fuse-overlayfs ever after.
		if got := l.MustRun("hanna", `ln -s $(command -v podunit) docker; ./docker run --rm --network none localhost:5000/busybox id -u; ./docker images -q | wc -l
			cat ~/.local/share/containers/storage/overlay/.has-mount-program; rm docker`); got != "0\n1\nfalse" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("of several that replace each other, the last one runs", func(t *testing.T) {
		l := l.For(t)
		if got := l.MustRun("hanna", `for i in 1 2 3 4; do podunit run -d --replace --name same --network none --stop-signal KILL localhost:5000/busybox sleep 1000 & done >ids
			for i in 1 2 3 4; do wait -n || echo failed; done
			wc -l <ids; podunit ps -q --filter name=same | wc -l; podunit rm -f -t 0 same`); got != "4\n1\nsame" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("restart waits as long as it is told to", func(t *testing.T) {
		l := l.For(t)
		l.MustRun("hanna", `podunit run -d --name slow --network none --stop-timeout 100 localhost:5000/busybox sleep 1000`)
		// And not those 100 seconds.
		l.MustRun("hanna", `before=$(podunit inspect -f '{{.State.Pid}}' slow); timeout 60 podunit restart -t 1 slow && [ "$(podunit inspect -f '{{.State.Pid}} {{.State.Running}}' slow)" != "$before true" ] && podunit rm -f -t 0 slow`)
	})
	t.Run("a signal during an attached start ends it", func(t *testing.T) {
		l := l.For(t)
		// The program itself ends by TERM, as soon as it is there; process 1 of a namespace would
		// not.
		l.MustRun("hanna", `for ms in 010 020 030 040 050 060 070 080 100; do
	podunit run --rm --name given-up --pid host -p 9300:80 localhost:5000/busybox sleep 1000 >/dev/null 2>&1 & pid=$!
	sleep 0.$ms; kill $pid
	for i in $(seq 600); do kill -0 $pid 2>/dev/null || break; sleep 0.1; done
	kill -9 $pid 2>/dev/null && { echo "alive after $ms ms and a minute"; exit 1; }
done; [ -z "$(podunit ps -aq)" ]`)
	})
	t.Run("an attached container that ended at once does not run", func(t *testing.T) {
		l := l.For(t)
		for range 5 {
			l.MustRun("hanna", `podunit run --name short --network none localhost:5000/busybox true; [ -z "$(podunit ps -q)" ] && podunit rm short`)
		}
	})
	t.Run("a pod whose container had to be killed starts again, and leaves nothing", func(t *testing.T) {
		l := l.For(t)
		l.MustRun("hanna", `podunit pod create --name duo --network none && podunit run -d --pod duo --name deaf --stop-timeout 0 localhost:5000/busybox sleep 1000`)
		l.MustRun("hanna", `podunit pod stop duo && podunit pod start duo && podunit start deaf && podunit pod stop duo && podunit pod rm -f duo`)
		if got := l.MustRun("hanna", `systemctl --user list-units --all --no-legend 'duo*' 'deaf*'`); got != "" {
			t.Errorf("left: %s", got)
		}
	})
	l.Eventually("hanna", `[ -z "$(systemctl --user list-units --failed --no-legend)" ]`, time.Minute)
	nothingLeft(t, l, "hanna")
}
