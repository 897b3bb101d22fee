// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume"
)

// wants compares what was told since the last time.
func (w *world) wants(want string) {
	w.t.Helper()
	if got := w.happened(); got != want {
		w.t.Errorf("told %q\nwant %q", got, want)
	}
}

// TestEventsOfAnAttachedContainer: nobody else tells of one, and its end is told once.
func TestEventsOfAnAttachedContainer(t *testing.T) {
	w := newWorld(t)
	w.shell()
	w.runtime("echo $$ >$PID; exit 7")
	c := w.asked("web")
	c.Remove, c.Labels = true, map[string]string{"a": "b"}
	r, _, err := w.Run(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range w.events {
		if e.ID != r.ID || e.Name != "web" || e.Labels["a"] != "b" || e.Time.IsZero() {
			t.Errorf("%+v", e)
		}
	}
	w.wants("container start made, container attach, container died 7, container remove")
}

// TestEventsOfAUnit: one is enough for a start, and the manager knows how the process has ended.
func TestEventsOfAUnit(t *testing.T) {
	w := newWorld(t)
	w.runtime("")
	w.inService("web.service")
	c := w.asked("web")
	c.SdNotify, c.Detach, c.Remove = "ignore", true, true
	r, _, err := w.Run(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.wants("container start made")
	// Its ExecStop= removes it; no variable tells how it has ended.
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", Ended: 7, ExitCode: 143})
	if err := w.Remove(context.Background(), r, Removal{Force: true, Timeout: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	w.wants("container stop, container died 143, container remove")
}

// TestEventsAfterTheEnd: ExecStopPost= is told how the process has ended, whether it removes the
// container or keeps it.
func TestEventsAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(*world, container.Record) error{
		"container died 3, container remove": func(w *world, r container.Record) error {
			return w.Remove(context.Background(), r, Removal{Force: true})
		},
		"container died 3": func(w *world, r container.Record) error { return w.Cleanup(context.Background(), "web") },
		"container died 3, container remove, ": func(w *world, r container.Record) error {
			if err := w.Cleanup(context.Background(), "web"); err != nil {
				return err
			}
			return w.Remove(context.Background(), r, Removal{Force: true})
		},
	} {
		w := newWorld(t)
		w.inService("web.service")
		r := w.made("web", nil)
		w.wants("container create")
		w.status(r, container.Status{Unit: "web.service", StartTicks: 1, StartedAt: time.Now()})
		w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = "exited", "3"
		if err := end(w, r); err != nil {
			t.Fatal(err)
		}
		if got := w.happened(); got != name && got+", " != name {
			t.Errorf("told %q\nwant %q", got, name)
		}
	}
}

// TestEventsOfVerbs: what was asked of a container is told if it was done.
func TestEventsOfVerbs(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	r := w.made("web", nil)
	w.running(r, "")
	if err := w.Containers.Kill(r, 18); err != nil { // SIGCONT
		t.Error(err)
	}
	if err := w.Stop(ctx, r, 10*time.Second); err != nil {
		t.Error(err)
	}
	if w.Containers.Kill(r, 18) == nil || w.Stop(ctx, r, 0) != nil {
		t.Error("one that does not run was killed, or could not be stopped")
	}
	if err := w.Rename(ctx, r, "other"); err != nil {
		t.Error(err)
	}
	w.wants("container create, container kill, container stop, container rename")
	p := w.pod("media")
	if err := w.RemovePod(ctx, p, true, 0); err != nil {
		t.Error(err)
	}
	w.wants("pod create, pod remove")
	v := volumes(w.Config, t.TempDir())
	if _, made, err := v.Ensure(ctx, "data", volume.Options{}); err != nil || !made {
		t.Error(made, err)
	}
	if _, made, err := v.Ensure(ctx, "data", volume.Options{}); err != nil || made {
		t.Error(made, err)
	}
	if err := v.Remove(ctx, "data", nil); err != nil {
		t.Error(err)
	}
	if err := v.Remove(ctx, "data", nil); err != nil {
		t.Error(err)
	}
	w.wants("volume create, volume remove")
}

// TestEventOfHealth: a change of the status is one, and no check is.
func TestEventOfHealth(t *testing.T) {
	w := newWorld(t)
	w.shell()
	r := w.made("web", func(r *container.Record) {
		r.Health, r.ImageName = &health.Config{LogDestination: health.LogEvents}, "localhost/a:1"
		r.Config.Labels, r.Spec.Labels, r.PodID = map[string]string{"of": "the image"}, map[string]string{"a": "b"}, "p1"
	})
	w.happened()
	checks, err := w.planChecks(&r, container.Launch{Record: &r}, container.Status{StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	after := health.State{Status: health.Unhealthy, FailingStreak: 3, Log: []health.Entry{{Output: "no answer"}}}
	checks.tell(health.State{Status: health.Unhealthy}, after)
	if e := checks.happened(after); e.Health == nil || *e.Health != (journal.Health{Status: "unhealthy", FailingStreak: 3, Log: "no answer"}) || e.Image != "localhost/a:1" || e.PodID != "p1" || len(e.Labels) != 2 || e.Labels["a"] != "b" {
		t.Errorf("%+v", e)
	}
	w.wants("")
}
