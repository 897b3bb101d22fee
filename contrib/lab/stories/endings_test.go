// SPDX-License-Identifier: Apache-2.0

//go:build lab

package stories

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// endings: what a container's last process says is what systemd goes by.
func endings(t *testing.T, l *labtest.Lab) {
	container := func(exec, service string) string {
		return fmt.Sprintf("[Container]\nImage=localhost:5000/busybox\nNetwork=none\nExec=%s\n[Service]\n%s\n", exec, service)
	}
	cases := []struct {
		name, unit, text string
		end              string // a script that ends the container from outside
		want             string // ActiveState, Result, ExecMainStatus, NRestarts
	}{
		{"a status other than 0 is a failure", "seven", container(`sh -c "exit 7"`, ""), "", "failed exit-code 7 0"},
		{"so it is after a while", "later", container(`sh -c "sleep 0.3; exit 7"`, ""), "", "failed exit-code 7 0"},
		{"SuccessExitStatus= makes it a success", "fine", container(`sh -c "exit 7"`, "SuccessExitStatus=7\nRemainAfterExit=yes"), "", "active success 7 0"},
		{"0 is a success", "zero", container("true", "RemainAfterExit=yes"), "", "active success 0 0"},
		{"RestartPreventExitStatus= keeps it down", "prevent", container(`sh -c "exit 7"`, "Restart=always\nRestartPreventExitStatus=7"), "", "failed exit-code 7 0"},
		{"Restart=on-failure starts it until it succeeds", "again", container(`sh -c "echo x >>/count/n; [ $$(wc -l </count/n) -ge 3 ]"`, "Restart=on-failure\nRemainAfterExit=yes") + "[Container]\nVolume=%h/count:/count\n", "", "active success 0 2"},
		{"a signal is a failure", "signal", container("sleep 1000", ""), "kill -9 $(systemctl --user show -P MainPID signal)", "failed signal 9 0"},
		{"Type=oneshot waits for the end", "oneshot", container(`sh -c "exit 7"`, "Type=oneshot"), "", "failed exit-code 7 0"},
		{"Type=oneshot succeeds", "done", container("true", "Type=oneshot\nRemainAfterExit=yes"), "", "active success 0 0"},
		// Without the key it takes ten seconds. The manager's identifier is there whoever has ended.
		{"who ignores TERM is killed after StopTimeout=", "deaf", container(`sh -c "trap : TERM; while :; do sleep 1; done"`, "") + "[Container]\nStopTimeout=1\n",
			`start=$(date +%s%N); systemctl --user stop deaf; took=$((($(date +%s%N) - start) / 1000000)); [ $took -ge 1000 ] || { echo "stop took $took ms"; exit 1; }
			for i in $(seq 600); do journalctl --user -q -o cat -t deaf | grep 'did not end within 1s of SIGTERM' && break; sleep 0.1; done | grep .`, "failed signal 9 0"},
		// Before the trap is set, process 1 of a container does not hear a TERM at all.
		{"who ends by TERM is not a failure", "polite", container(`sh -c "trap 'exit 0' TERM; touch /armed; while :; do sleep 0.1; done"`, ""),
			"for i in $(seq 300); do podunit exec systemd-polite test -e /armed && break; sleep 0.1; done; systemctl --user stop polite", "inactive success 0 0"},
	}
	l.MustRun("bob", "mkdir -p count; podunit pull -q localhost:5000/busybox")
	for _, c := range cases {
		quadlet(l, "bob", c.unit+".container", c.text)
	}
	quadlet(l, "bob", "lonely.pod", "[Pod]\n")
	quadlet(l, "bob", "member.container", container("sleep 1000", "Restart=always")+"[Container]\nStopTimeout=0\nPod=lonely.pod\nNetwork=\n")
	quadlet(l, "bob", "brief.pod", "[Pod]\n")
	quadlet(l, "bob", "guest.container", strings.Replace(container("sleep 1000", ""), "Network=none", "Pod=brief.pod", 1))
	l.MustRun("bob", "systemctl --user daemon-reload")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := l.For(t)
			l.Run("bob", "systemctl --user start "+c.unit) // fails where Type=oneshot waits for a failure
			if c.end != "" {
				l.MustRun("bob", c.end)
			}
			show := "systemctl --user show -p ActiveState -p Result -p ExecMainStatus -p NRestarts " + c.unit
			var got string
			for deadline := time.Now().Add(time.Minute); got != c.want && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
				p := map[string]string{}
				for line := range strings.SplitSeq(l.MustRun("bob", show), "\n") {
					k, v, _ := strings.Cut(line, "=")
					p[k] = v
				}
				got = strings.Join([]string{p["ActiveState"], p["Result"], p["ExecMainStatus"], p["NRestarts"]}, " ")
			}
			if got != c.want {
				t.Errorf("got %q, want %q\n%s", got, c.want, l.MustRun("bob", "journalctl --user -q -u "+c.unit))
			}
		})
	}
	t.Run("a pod outlives the restart of its only container", func(t *testing.T) {
		l := l.For(t)
		l.MustRun("bob", "systemctl --user start lonely-pod; systemctl --user start member")
		before := mainPIDs(l, "bob", "lonely-pod", "member")
		l.MustRun("bob", "kill -9 "+before["member"])
		l.Eventually("bob", `[ "$(systemctl --user show -P MainPID member)" != `+before["member"]+` ] && systemctl --user is-active member`, time.Minute)
		if pid := property(l, "bob", "lonely-pod", "MainPID"); pid != before["lonely-pod"] {
			t.Errorf("the pod's process was %s and is %s", before["lonely-pod"], pid)
		}
		l.MustRun("bob", "systemctl --user stop lonely-pod")
	})
	t.Run("a pod ends with its only container if nobody starts that again", func(t *testing.T) {
		l := l.For(t)
		l.MustRun("bob", "systemctl --user start brief-pod; systemctl --user start guest; kill -9 $(systemctl --user show -P MainPID guest)")
		l.Eventually("bob", `[ "$(systemctl --user show -P ActiveState brief-pod)" = inactive ]`, time.Minute)
	})
	l.MustRun("bob", "systemctl --user stop fine zero again done")
	nothingLeft(t, l, "bob")
}
