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

func TestLabTypo(t *testing.T) {
	const dir = ".config/containers/systemd/"
	l := boot(t, labtest.Options{})
	l.units()
	l.MustRun("alice", "podunit pull -q "+image)
	good := l.ReadFile("alice", dir+"one.container")
	l.WriteFile("alice", dir+"other.container", "[Container]\nImage="+image+"\nExec=sleep 1000\nNetwork=none\n[Install]\nWantedBy=default.target\n")
	l.MustRun("alice", "systemctl --user daemon-reload; systemctl --user start other p-pod m")
	// All that the generator wrote but for the one, links included, and who runs.
	others := func() string {
		return l.MustRun("alice", `cd $XDG_RUNTIME_DIR/systemd/generator && find . ! -name one.service -type f -exec sha256sum {} + -o -type l -printf '%p %l\n' | sort
			systemctl --user show -P MainPID -P InvocationID -P ActiveState other p-pod m`)
	}
	before := others()
	for _, unit := range []string{"other.service", "p-pod.service", "m.service"} {
		if !strings.Contains(before, unit) {
			t.Fatalf("no %s in\n%s", unit, before)
		}
	}
	for _, c := range []struct{ name, one, dropin, place, message, hint string }{
		{"a key", strings.Replace(good, "PublishPort", "PublishPrt", 1), "", dir + "one.container:4:1", "unsupported key 'PublishPrt' in group 'Container'", "did you mean PublishPort=?"},
		{"a line", "[Container]\nImage\n", "", dir + "one.container:2:1", "not a key-value pair", "write Key=value"},
		{"no image", "[Container]\nExec=true\n", "", dir + "one.container:1:1", "no Image or Rootfs key specified", "set Image="},
		{"a reference in a drop-in", good, "# more\n[Container]\nNetwork=nosuch.network\n", dir + "one.container.d/10.conf:3:9", "requested Quadlet network nosuch.network was not found", "there must be a file nosuch.network"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := l.on(t)
			l.WriteFile("alice", dir+"one.container", c.one)
			if c.dropin != "" {
				l.WriteFile("alice", dir+"one.container.d/10.conf", c.dropin)
			}
			l.MustRun("alice", "systemctl --user daemon-reload")
			if got := l.MustRun("alice", "systemctl --user show -P LoadState one"); got != "loaded" {
				t.Errorf("the unit is %s", got)
			}
			if _, _, code := l.Run("alice", "systemctl --user start one"); code == 0 {
				t.Error("it starts")
			}
			// In the journal, where people look, and not just in the command line of the unit.
			// journald may be a moment behind the unit.
			wanted := []string{fmt.Sprintf("]: /home/alice/%s: error: %s", c.place, c.message), "]: hint: ", c.hint}
			var status, log, missing string
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
				status, _, _ = l.Run("alice", "systemctl --user status -n 20 one")
				_, log, _ = strings.Cut(status, "\n\n")
				missing = ""
				for _, want := range wanted {
					if !strings.Contains(log, want) {
						missing = want
					}
				}
				if missing == "" {
					break
				}
			}
			if missing != "" {
				t.Errorf("no %q in\n%s", missing, status)
			}
			if !strings.Contains(status, "failed (Result: exit-code)") {
				t.Errorf("no failure:\n%s", status)
			}
			if now := others(); now != before {
				t.Errorf("others are touched, before:\n%s\nnow:\n%s", before, now)
			}
			check, _, code := l.Run("alice", "podunit check 2>&1")
			if code == 0 || !strings.Contains(check, c.place+": error: "+c.message) {
				t.Errorf("podunit check: status %d\n%s", code, check)
			}
		})
	}
	l.MustRun("alice", "rm -r "+dir+"one.container.d")
	l.WriteFile("alice", dir+"one.container", good)
	l.MustRun("alice", "systemctl --user daemon-reload && podunit check && systemctl --user start one")
	l.MustRun("alice", stories["one"].answers)
}
