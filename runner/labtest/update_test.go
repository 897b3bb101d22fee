// SPDX-License-Identifier: Apache-2.0

//go:build lab

package labtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabKilledUpdate kills an update after each of its steps. The unit goes on with one of the two
// images, and the next update ends as one that nobody killed.
func TestLabKilledUpdate(t *testing.T) {
	const sleeps = "trap exit TERM; while :; do sleep 0.1; done"
	l := boot(t, labtest.Options{})
	l.WriteFile("alice", ".config/podunit/podunit.conf", "[AutoUpdate]\nHealthWindow=4s\n")
	for _, name := range []string{"web", "hand"} {
		l.PushVersion(name+":1", "none", sleeps)
	}
	l.WriteFile("alice", ".config/containers/systemd/web.container", "[Container]\nContainerName=web\nImage=localhost:5000/web:1\nNetwork=none\nAutoUpdate=registry\n[Service]\nRestart=always\n")
	l.MustRun("alice", "systemctl --user daemon-reload && systemctl --user start web")
	l.MustRun("alice", "podunit run -d --name hand --restart always --network none --label io.containers.autoupdate=registry localhost:5000/hand:1")
	version := func(unit string) string {
		return l.Eventually("alice", `podunit inspect -f '{{.State.Running}} {{index .Config.Labels "version"}}' `+unit+` | grep -w true`, time.Minute)
	}
	old := "none"
	for _, name := range slices.Sorted(maps.Keys(kills)) {
		k := kills[name]
		if k.when != atUpdate && k.when != atRollback {
			continue
		}
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			before := old
			if k.unit == "hand" {
				before = strings.TrimPrefix(version("hand"), "true ")
			}
			script := sleeps
			if k.when == atRollback {
				script = "exit 3"
			}
			l.PushVersion(k.unit+":1", name, script)
			_, stderr, code := l.Run("alice", "PODUNIT_CRASH_AFTER='"+name+"' podunit auto-update --wait")
			if code != 128+9 || !strings.Contains(stderr, "killed after "+name+",") {
				t.Fatalf("status %d: %s", code, stderr)
			}
			if k.when == atUpdate && !strings.HasPrefix(name, "renewal ") {
				if v := version(k.unit); v != "true "+before && v != "true "+name {
					t.Errorf("killed, it is %s", v)
				}
			}
			out, stderr, code := l.Run("alice", "podunit auto-update --wait --format '{{.Unit}} {{.Updated}}'")
			want := "true " + name
			if k.when == atRollback {
				want = "true " + before
			}
			if v := version(k.unit); v != want || code != 0 {
				t.Errorf("after the next update it is %s; want %s; status %d: %s%s", v, want, code, out, stderr)
			}
			if out := l.MustRun("alice", "podunit auto-update --dry-run --format '{{.Unit}} {{.Updated}}'"); strings.Contains(out, "pending") {
				t.Errorf("there still is something to do: %s", out)
			}
			if k.unit == "web" && k.when == atUpdate {
				old = name
			}
			l.Active("alice", "web", "hand")
		})
	}
}
