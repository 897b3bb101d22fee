// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/unit"
)

// TestRestartPodWaitsForItsMembers: each is up again at the end of the command, whatever the name of
// its unit is, and though a unit file's container is gone while its unit makes it anew.
func TestRestartPodWaitsForItsMembers(t *testing.T) {
	for name, c := range map[string]struct {
		unit string // whose restart is under way
		of   func(w *world, r *container.Record)
	}{
		"made by hand":   {"web.service", func(*world, *container.Record) {}},
		"renamed":        {"before.service", func(w *world, r *container.Record) { w.running(*r, "before.service") }},
		"of a unit file": {"shop.service", func(_ *world, r *container.Record) { r.Unit = "shop.service" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.pod("media")
			p.Unit = "media-pod.service"
			r := w.made("web", func(r *container.Record) { r.PodID = p.ID })
			c.of(w, &r)
			if err := w.Containers.Note(r); err != nil {
				t.Fatal(err)
			}
			w.manager.set(c.unit, unit.Properties{LoadState: "loaded", ActiveState: "activating"})
			w.manager.restarts = func(string) error {
				if r.Unit == "" {
					return nil
				}
				return w.store.DeleteContainer(r.ID)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := w.RestartPod(ctx, p); ctx.Err() == nil || !w.manager.asked("restart media-pod.service") {
				t.Errorf("it has not waited: %v; %q", err, w.manager.calls)
			}
		})
	}
}
