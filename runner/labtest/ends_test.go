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
				l.Eventually("alice", "journalctl --user CONTAINER_NAME="+unit+" -o cat | grep -x up", 30*time.Second)
				l.MustRun("alice", c.act+" "+unit)
				want = "5001"
			}
			l.Eventually("alice", "! systemctl --user is-active -q "+unit+" && ! systemctl --user show -P ActiveState "+unit+" | grep -q deactivating", 30*time.Second)
			l.MustRun("alice", "podunit rm -f -i "+unit)
			// journald may be behind, but what was not handed over never comes.
			l.Eventually("alice", "n=$(journalctl --user CONTAINER_NAME="+unit+" -o cat | wc -l); echo $n lines, want "+want+"; [ $n = "+want+" ]", 20*time.Second)
			if got := l.MustRun("alice", "journalctl --user -o cat -u "+unit+" | grep 'Killing process' || true"); got != "" {
				t.Errorf("something was left to systemd:\n%s", got)
			}
		})
	}
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
		l.Eventually("alice", "podunit exec own test -d /sys/fs/cgroup/a/b", 30*time.Second)
		l.MustRun("alice", "podunit stop -t 0 own; podunit rm own")
	})
	if left := l.MustRun("alice", "podunit ps -a --format '{{.Names}}'"); left != "" {
		t.Errorf("left over: %s", left)
	}
}
