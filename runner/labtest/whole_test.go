// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabWhole goes from the program that services execute to the whole one and back, for a
// user and for root, and does without.
func TestLabWhole(t *testing.T) {
	l := boot(t, labtest.Options{})
	container := "[Container]\nImage=" + image + "\nExec=sleep infinity\nNetwork=none\nStopSignal=KILL\n"
	l.WriteFile("alice", ".config/containers/systemd/w.container", container)
	l.WriteFile("root", "/etc/containers/systemd/w.container", container)
	late := strings.Replace(container, "StopSignal=KILL", "StopTimeout=60", 1)
	l.WriteFile("alice", ".config/containers/systemd/late.container", late)
	l.WriteFile("root", "/etc/containers/systemd/late.container", late)
	for user, systemctl := range map[string]string{"alice": "systemctl --user", "root": "systemctl"} {
		t.Run(user, func(t *testing.T) {
			l := l.on(t)
			// A pull inside a start is beyond the first program, in the same process and unit.
			l.MustRun(user, systemctl+" daemon-reload; "+systemctl+" start w")
			// It is ready a moment before it is executed.
			l.Eventually(user, "exe=$(readlink /proc/$("+systemctl+" show -P MainPID w)/exe); echo $exe; [[ $exe = */busybox ]]", time.Minute)
			// Neither the container nor what stays beside it has the timers of a start: see
			// runner/slack.
			pid := strings.TrimSpace(l.MustRun(user, systemctl+" show -P MainPID w"))
			got := l.MustRun("root", "unit=$(sed -n 's|^0::\\(.*w.service\\).*|/sys/fs/cgroup\\1|p' /proc/"+pid+"/cgroup); "+
				"while cat $(find $unit -name cgroup.procs -exec cat {} + | sed 's|.*|/proc/&/comm|') 2>/dev/null | grep -qx podunit; do sleep 0.1; done; "+ // podunit ends a moment after it was ready
				"for p in 1 $(find $unit -name cgroup.procs -exec cat {} +); do s=$(cat /proc/$p/timerslack_ns) && echo $(cat /proc/$p/comm) $s; done; true")
			usual, rest, _ := strings.Cut(strings.TrimPrefix(got, "systemd ")+"\n", "\n")
			if !strings.Contains(rest, "sleep ") || !strings.Contains(rest, "podunit-log ") || strings.Count(rest, "\n") != strings.Count(rest, " "+usual+"\n") {
				t.Errorf("slack of the timers of the manager, and of the service's processes:\n%s", got)
			}
			// But what a unit stops with has them, as long as its container takes to end: sleep,
			// as the first process, hears no SIGTERM.
			l.MustRun(user, systemctl+" start late && "+systemctl+" stop --no-block late")
			l.Eventually("root", "[ $(cat /proc/$(pgrep -f 'podunit [r]m .*systemd-late')/timerslack_ns) = 1000000 ]", time.Minute)
			l.MustRun(user, "podunit kill -s KILL systemd-late")
			l.Eventually(user, "! "+systemctl+" is-active -q late && ! podunit container exists systemd-late", time.Minute)
			// By a name without its registry, which the ecosystem alone finds.
			l.MustRun(user, "podunit tag "+image+" registry.example/some/where:1")
			if got := l.MustRun(user, "podunit run --rm --network none some/where:1 env; podunit images -q"); strings.Contains(got, "PODUNIT") {
				t.Errorf("the container is told how it was started:\n%s", got)
			}
			if got := l.MustRun(user, "podunit __complete stop '' 2>&1; podunit --log-level error ps --format '{{.Names}}'"); strings.Count(got, "systemd-w") != 2 {
				t.Errorf("the container is not offered and listed:\n%s", got)
			}
			// A service made by the whole program is started by the other.
			l.MustRun(user, "podunit run -d --name made --network none --pull always "+image+" sleep infinity")
			if got := l.MustRun(user, systemctl+" cat made"); strings.Contains(got, "libexec") {
				t.Errorf("the service executes the whole program:\n%s", got)
			}
			l.MustRun(user, "podunit rm -f -t 0 made; podunit rmi registry.example/some/where:1")
		})
	}
	// What the services of a play execute is in the other as well.
	l.WriteFile("alice", "kp.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: kp}\nspec:\n  hostNetwork: true\n  terminationGracePeriodSeconds: 0\n  containers:\n"+
		"  - {name: c, image: '"+image+"', command: [sleep, infinity], livenessProbe: {exec: {command: [touch, /probed]}, periodSeconds: 1, timeoutSeconds: 30}}\n")
	l.MustRun("alice", "podunit kube play kp.yaml")
	whole := "/usr/libexec/podunit/podunit"
	l.MustRun("root", "mv "+whole+" "+whole+".away")
	l.MustRun("alice", "systemctl --user restart kp-c && podunit exec kp-c rm -f /probed")
	l.Active("alice", "kp-c", "kp-pod")
	l.Eventually("alice", "podunit exec kp-c test -e /probed", time.Minute) // by a probe of after that
	l.MustRun("alice", "systemctl --user stop kp-pod")
	l.MustRun("root", "journalctl --sync")
	// Nobody of hers says it, wherever the journal places a process that has ended.
	if got, _, code := l.Run("alice", "journalctl --user | grep -F 'installed in part'"); code != 1 {
		t.Errorf("a service of a play wants the whole program, or the journal cannot be read (%d):\n%s", code, got)
	}
	l.MustRun("alice", "systemctl --user restart w; podunit ps; podunit exec systemd-w true; podunit run --rm --network none "+image+" true")
	for _, verb := range []string{"images", "run --rm --network none --pull always " + image + " true"} {
		_, stderr, code := l.Run("alice", "podunit "+verb)
		if code != 125 || !strings.Contains(stderr, whole+": no such file or directory") || !strings.Contains(stderr, "hint: podunit is installed in part") {
			t.Errorf("podunit %s without the whole program: status %d\n%s", verb, code, stderr)
		}
	}
	l.MustRun("root", "mv "+whole+".away "+whole+"; systemctl stop w")
	l.MustRun("alice", "systemctl --user stop w; podunit kube down kp.yaml")
	l.MustRun("alice", "test -e $XDG_RUNTIME_DIR/podunit/userns/lock")
	l.Gone("alice", "ls $XDG_RUNTIME_DIR/podunit/userns | grep -v -x lock") // nobody is left in the namespace
}
