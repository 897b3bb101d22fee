// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// unitsThatEnd writes units whose containers write 5000 lines and fail: alone, with a process that
// stays behind and hears no SIGTERM, in a pod, and killed; and one that needs 5 s to write its data.
func (l *Lab) unitsThatEnd() {
	const dir = ".config/containers/systemd/"
	l.t.Helper()
	l.WriteFile("alice", dir+"p.pod", "[Pod]\n[Service]\nRestart=no\n")
	for name, c := range map[string]struct{ script, keys string }{
		"fails":        {"sleep 0.5; seq 5000; exit 3", ""},
		"fails-shared": {"(trap : TERM; while :; do sleep 1; done) >/dev/null 2>&1 & sleep 0.5; seq 5000; exit 3", "PodmanArgs=--pid=host\n"},
		"fails-in-pod": {"sleep 0.5; seq 5000; exit 3", "Pod=p.pod\n"},
		"fails-killed": {"seq 5000; sleep 1000", ""},
		"stopped":      {"trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done", "[Service]\nSuccessExitStatus=5\n"},
		"writes":       {"trap 'sleep 5; echo written; exit' TERM; echo up; while :; do sleep 0.1; done", "[Service]\nExecStop=\nExecStop=/bin/sh -c 'kill -KILL $$$$'\n"},
	} {
		l.WriteFile("alice", dir+name+".container", "[Container]\nContainerName="+name+"\nImage="+image+"\nExec=sh -c \""+strings.ReplaceAll(c.script, "$", "$$")+"\"\n"+c.keys)
	}
	l.MustRun("alice", "systemctl --user daemon-reload")
}

// TestLabEnds is about what must not be lost when a container ends, and what must not be left.
func TestLabEnds(t *testing.T) {
	l := boot(t, labtest.Options{})
	for name, c := range map[string]struct{ flags, command, act string }{
		"by itself":             {"", "seq 5000", ""},
		"by itself, and gone":   {"--rm", "seq 5000", ""},
		"as a failure":          {"", "seq 5000; exit 3", ""},
		"as a failure and gone": {"--rm", "seq 5000; exit 3", ""},
		"when it is stopped":    {"", `trap "seq 5000; exit" TERM; echo up; sleep 1000 & wait`, "podunit stop"},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			unit := strings.NewReplacer(" ", "-", ",", "").Replace(name)
			l.MustRun("alice", fmt.Sprintf("podunit run -d %s --name %s %s sh -c 'sleep 0.5; %s'", c.flags, unit, image, c.command))
			want := "5000"
			if c.act != "" {
				l.Eventually("alice", "journalctl --user CONTAINER_NAME="+unit+" -o cat | grep -x up", time.Minute)
				l.MustRun("alice", c.act+" "+unit)
				want = "5001"
			}
			l.Eventually("alice", "! systemctl --user is-active -q "+unit+" && ! systemctl --user show -P ActiveState "+unit+" | grep -q deactivating", time.Minute)
			l.MustRun("alice", "podunit rm -f -i "+unit)
			// journald may be behind, but what was not handed over never comes.
			l.Eventually("alice", "n=$(journalctl --user CONTAINER_NAME="+unit+" -o cat | wc -l); echo $n lines, want "+want+"; [ $n = "+want+" ]", time.Minute)
			if got := l.MustRun("alice", "journalctl --user -o cat -u "+unit+" | grep 'Killing process' || true"); got != "" {
				t.Errorf("something was left to systemd:\n%s", got)
			}
		})
	}
	l.unitsThatEnd()
	for _, unit := range []string{"fails", "fails-shared", "fails-in-pod", "fails-killed"} {
		t.Run("of a file: "+unit, func(t *testing.T) {
			l := l.on(t)
			l.MustRun("alice", "systemctl --user start "+unit)
			if unit == "fails-killed" {
				l.Eventually("alice", "journalctl --user CONTAINER_NAME="+unit+" -o cat | grep -x 5000", time.Minute)
				l.MustRun("alice", "systemctl --user kill -s KILL --kill-whom=main "+unit)
			}
			l.Eventually("alice", "systemctl --user is-failed "+unit, time.Minute)
			l.Eventually("alice", "n=$(journalctl --user CONTAINER_NAME="+unit+" -o cat | wc -l); echo $n lines; [ $n = 5000 ]", time.Minute)
			// Who waits for the end of a process that does not end says so.
			if got := l.MustRun("alice", "journalctl --user -o cat -u "+unit+" | grep -E 'Killing process|timed out' || true"); got != "" {
				t.Errorf("something was left to systemd:\n%s", got)
			}
			l.MustRun("alice", "systemctl --user stop p-pod; systemctl --user reset-failed")
			l.Gone("alice", "pgrep -a -x podunit-log")
		})
	}
	t.Run("events tell how a unit's container ended", func(t *testing.T) {
		l := l.on(t)
		l.MustRun("alice", "systemctl --user start stopped")
		l.Eventually("alice", "journalctl --user CONTAINER_NAME=stopped -o cat | grep -x up", time.Minute)
		l.MustRun("alice", "systemctl --user stop stopped")
		// journald may be behind
		l.Eventually("alice", "podunit events --since 1h --stream=false --filter container=stopped --filter event=died --format '{{.ContainerExitCode}}' | tee -a told | grep -x 5", time.Minute)
		if got := l.MustRun("alice", "sort -u told"); got != "5" {
			t.Errorf("it died with %q", got)
		}
	})
	t.Run("an ExecStop= that is killed leaves time to write", func(t *testing.T) {
		l := l.on(t)
		l.MustRun("alice", "systemctl --user start writes")
		l.Eventually("alice", "journalctl --user CONTAINER_NAME=writes -o cat | grep -x up", time.Minute)
		l.MustRun("alice", "systemctl --user stop writes || true")
		l.Eventually("alice", "journalctl --user CONTAINER_NAME=writes -o cat | grep -x written", time.Minute) // beside what its shell says of the signal
		l.MustRun("alice", "systemctl --user reset-failed")
		l.Gone("alice", "pgrep -a -x podunit-log")
	})
	t.Run("what the runtime says is said once", func(t *testing.T) {
		l := l.on(t)
		if out, stderr, code := l.Run("alice", "podunit run --rm "+image+" nosuch"); code != 127 || strings.Count(out+stderr, "nosuch") != 1 {
			t.Errorf("attached, status %d:\n%s%s", code, out, stderr)
		}
		if out, stderr, code := l.Run("alice", "podunit run -d --name twice "+image+" nosuch"); code != 127 || strings.Count(out+stderr, "nosuch") != 1 {
			t.Errorf("on its own, status %d:\n%s%s", code, out, stderr)
		}
		if got := l.MustRun("alice", "journalctl --user -o cat | grep 'runc create failed' || true"); got != "" {
			t.Errorf("in the journal:\n%s", got)
		}
	})
	t.Run("under another name", func(t *testing.T) {
		l := l.on(t)
		file := ".config/containers/systemd/ren.container"
		write := func(name string) {
			l.WriteFile("alice", file, "[Container]\nImage="+image+"\nContainerName="+name+"\nExec=sh -c \"trap exit\\\\ 0 TERM; sleep 1000 & wait\"\n")
			l.MustRun("alice", "systemctl --user daemon-reload")
		}
		write("one")
		l.MustRun("alice", "systemctl --user start ren")
		write("two")
		l.MustRun("alice", "systemctl --user restart ren")
		if got := l.MustRun("alice", "podunit ps -a --format '{{.Names}}'"); got != "two" {
			t.Errorf("after a new name: %q", got)
		}
		l.MustRun("alice", "rm "+file+"; systemctl --user daemon-reload; systemctl --user stop ren")
		if got := l.MustRun("alice", "podunit ps -a --format '{{.Names}}'"); got != "" {
			t.Errorf("without its file: %q", got)
		}
	})
	t.Run("cgroups of its own", func(t *testing.T) {
		l := l.on(t)
		l.MustRun("alice", "podunit run -d --name own --privileged "+image+" sh -c 'mkdir -p /sys/fs/cgroup/a/b && sleep 1000 & sleep 1000'")
		l.Eventually("alice", "podunit exec own test -d /sys/fs/cgroup/a/b", time.Minute)
		l.MustRun("alice", "podunit stop -t 0 own; podunit rm own")
	})
	t.Run("while the runtime hangs", func(t *testing.T) { givenUp(t, l.on(t)) })
	if left := l.MustRun("alice", "podunit ps -a --format '{{.Names}}'"); left != "" {
		t.Errorf("left over: %s", left)
	}
}

// hangingRuntime is a runc that hears no signal when the word in the file hang/on is among its own,
// and has made a process by then that does not either. It leaves the file hang/there.
const hangingRuntime = `#!/bin/sh
case " $* " in *" $(cat ~/hang/on) "*) ;; *) exec /usr/sbin/runc "$@" ;; esac
trap '' TERM INT HUP
sh -c 'trap "" TERM INT HUP; while :; do sleep 1; done' hung-init &
: >~/hang/there
while :; do sleep 1; done
`

// givenUp gives up commands whose runtime hangs, as systemd, a shell and a terminal do. Each of
// them ends, with the runtime and with what that has made.
func givenUp(t *testing.T, l *Lab) {
	l.WriteFile("alice", "hang/runc", hangingRuntime)
	l.MustRun("alice", "chmod +x hang/runc; echo nothing >hang/on; podunit run -d --name up --runtime ~/hang/runc --stop-signal KILL "+image+" sleep 1000")
	const begin = "rm -f ~/hang/there; " // and set -m, or SIGINT is ignored
	const wait = " & p=$!; for i in $(seq 600); do [ -e ~/hang/there ] && break; sleep 0.1; done; [ -e ~/hang/there ]; "
	for _, c := range []struct{ name, on, command, kill, want string }{
		{"exec", "exec", "podunit exec up true", "kill -TERM $p", "143"},
		{"exec, Ctrl-C", "exec", "podunit exec up true", "kill -INT -- -$p", "130"},
		{"exec on a terminal that goes", "exec", "script -qec 'podunit exec -it up true' /dev/null", "pkill -HUP -f '^podunit exec -it up'", ""},
		{"run", "run", "podunit run --rm --name r --network none --runtime ~/hang/runc " + image + " true", "kill -TERM $p", "143"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := l.on(t)
			script := "set -m; echo " + c.on + " >~/hang/on; " + begin + c.command + wait + c.kill + "; wait $p; echo $?; rm -f ~/hang/there; echo nothing >~/hang/on"
			out := l.MustRun("alice", script)
			if got := out[strings.LastIndex(out, "\n")+1:]; c.want != "" && got != c.want {
				t.Errorf("it ended with %s, want %s:\n%s", got, c.want, out)
			}
			l.Gone("alice", "pgrep -a -f 'hang/runc|hung-init'")
		})
	}
	l.MustRun("alice", "podunit rm -f -t 0 up; rm -r hang")
}
