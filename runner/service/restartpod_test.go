// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/unit"
)

// TestContainersFollowAPodThatIsTriedAgain: where the start of a pod's unit has failed, and the
// manager tries it again by itself, the containers that were made in the pod by hand start when the
// pod runs, at a restart and after a boot. They do not where the next try fails, too.
func TestContainersFollowAPodThatIsTriedAgain(t *testing.T) {
	const name = "media-pod.service"
	boot := func(w *world) error { return w.Boot(context.Background(), false) }
	restart := func(w *world) error {
		p, err := w.Pods.Lookup("media")
		if err != nil {
			return err
		}
		return w.RestartPod(context.Background(), p)
	}
	moves := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		what  string
		comes bool
		do    func(*world) error
		call  string // fails
	}{
		{"a restart", true, restart, "restart " + name},
		{"a restart in vain", false, restart, "restart " + name},
		{"a boot", true, boot, "start " + name},
		{"a boot in vain", false, boot, "start " + name},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			var next sync.WaitGroup
			t.Cleanup(next.Wait)
			p := w.pod("media")
			w.made("web", func(r *container.Record) { r.PodID, r.Spec.Restart.Policy = p.ID, "always" })
			w.up(p, unit.Own{Name: name, Cgroup: "/" + name})
			up, down := w.Pods.Dir(p.ID)+"/status.json", w.Pods.Dir(p.ID)+"/aside"
			if c.call == "start "+name {
				moves(t, up, down)
			}
			w.manager.fails[c.call] = unit.JobError{Verb: "restart", Unit: name, Job: "failed", Result: "signal"}
			w.manager.set(name, unit.Properties{LoadState: "loaded", ActiveState: "activating"})
			w.Complaint = func(context.Context, string, time.Time, time.Duration) (string, string) {
				if c.call == "restart "+name {
					moves(t, up, down)
				}
				next.Go(func() {
					time.Sleep(100 * time.Millisecond)
					if c.comes {
						moves(t, down, up)
						w.manager.set(name, unit.Properties{LoadState: "loaded", ActiveState: "active", Restarts: 1})
					} else {
						w.manager.set(name, unit.Properties{LoadState: "loaded", ActiveState: "activating", Restarts: 2})
					}
				})
				return "", ""
			}
			if err := c.do(w); (err == nil) != c.comes || w.manager.asked("start web.service") != c.comes {
				t.Errorf("%v; %q", err, w.manager.calls)
			}
		})
	}
}
