// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/ledger"
	"github.com/podunit/podunit/runner/unit"
)

// renewed notes the renewal of a container with the image "new", as one that was cut there.
func (w *world) renewed(r container.Record) {
	w.t.Helper()
	r.ImageID = "new"
	if err := w.noteRenewal(renewal{Name: r.Name, Record: r}); err != nil {
		w.t.Fatal(err)
	}
}

// notes counts the notes of renewals.
func (w *world) notes() int {
	files, _ := os.ReadDir(w.renewals()) // there is none before the first
	return len(files)
}

// made by hand from the image "old".
func old(r *container.Record) { r.ImageID, r.Spec.Image = "old", "r/a:1" }

// A renewal that fails before it has taken anything must not be completed by the next update: the
// new image may have been found bad since.
func TestFailedRenewalLeavesNoNote(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", old)
	release := w.hold("web")
	ctx, cancel := context.WithCancel(t.Context())
	w.manager.stops = func(string) error { cancel(); return nil } // nobody waits for the lock then
	if err := w.Renew(ctx, r, "f00", "web.service"); !errors.Is(err, container.ErrBusy) {
		t.Fatal(err)
	}
	release()
	if n := w.notes(); n != 0 {
		t.Errorf("%d notes", n)
	}
	if err := w.FinishRenewals(t.Context()); err != nil {
		t.Error(err)
	}
	if now, err := w.Containers.Lookup(r.ID); err != nil || now.ImageID != "old" {
		t.Errorf("%v, %v", now.ImageID, err)
	}
}

// What somebody does with a container after a renewal of it was cut stands.
func TestCutRenewalIsOvertaken(t *testing.T) {
	for name, c := range map[string]struct {
		do    func(*world, container.Record) error
		there bool // the container, afterwards
	}{
		"removed":   {do: func(w *world, r container.Record) error { return w.Remove(w.t.Context(), r, Removal{}) }},
		"restarted": {do: func(w *world, r container.Record) error { return w.Restart(w.t.Context(), r, 0) }, there: true},
		"replaced": {do: func(w *world, r container.Record) error {
			err := w.Containers.Remove(w.t.Context(), r, true, true, 0)
			w.made("web", nil)
			return err
		}},
		"removed with its pod": {do: func(w *world, r container.Record) error {
			r.PodID = strings.Repeat("b", 64)
			w.renewed(r)
			return w.Containers.Remove(w.t.Context(), r, true, true, 0)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.made("web", old)
			w.renewed(r)
			if err := c.do(w, r); err != nil {
				t.Fatal(err)
			}
			if err := w.FinishRenewals(t.Context()); err != nil || w.notes() != 0 {
				t.Errorf("%v; %d notes", err, w.notes())
			}
			now, err := w.Containers.Lookup(r.ID)
			if (err == nil) != c.there || c.there && now.ImageID != "old" {
				t.Errorf("%q, %v", now.ImageID, err)
			}
		})
	}
}

// The end of its own unit removes a container that was made with --rm, in the middle of its
// renewal: only the note has what it is then.
func TestRenewalOfOneThatGoesWithItsUnit(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", func(r *container.Record) { old(r); r.Spec.Remove = true })
	w.renewed(r)
	w.inService("web.service")
	if err := w.Remove(t.Context(), r, Removal{Force: true}); err != nil || w.exists(r.ID) {
		t.Fatal(err)
	}
	if err := w.FinishRenewals(t.Context()); err != nil || w.notes() != 0 {
		t.Errorf("%v; %d notes", err, w.notes())
	}
	if now, err := w.Containers.Lookup(r.ID); err != nil || now.ImageID != "new" {
		t.Errorf("%v, %v", now.ImageID, err)
	}
}

// A renewal that is cut before the service has started is completed by the next update; one whose
// service fails is not tried again.
func TestRenewalEndsWithTheStart(t *testing.T) {
	for _, fault := range []error{nil, errors.New("it fails")} {
		w := newWorld(t)
		r := w.made("web", old)
		during := 0
		w.manager.starts = func(string, unit.Service) error { during = w.notes(); return fault }
		if err := w.Renew(t.Context(), r, "f00", "web.service"); !errors.Is(err, fault) {
			t.Error(err)
		}
		if now, err := w.Containers.Lookup(r.ID); err != nil || now.ImageID != "f00" || during != 1 || w.notes() != 0 {
			t.Errorf("%v, %v; %d notes during the start, %d after it", now.ImageID, err, during, w.notes())
		}
	}
}

// A renewal whose start somebody interrupts is completed by the next update.
func TestInterruptedStartOfARenewal(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", old)
	ctx, cancel := context.WithCancel(t.Context())
	w.manager.starts = func(string, unit.Service) error { cancel(); return ctx.Err() }
	if err := w.Renew(ctx, r, "f00", "web.service"); !errors.Is(err, context.Canceled) || w.notes() != 1 {
		t.Fatalf("%v; %d notes", err, w.notes())
	}
	started := ""
	w.manager.starts = func(name string, _ unit.Service) error { started = name; return nil }
	if err := w.FinishRenewals(t.Context()); err != nil || w.notes() != 0 || started != "web.service" {
		t.Errorf("%v; %d notes; started %q", err, w.notes(), started)
	}
	if now, err := w.Containers.Lookup(r.ID); err != nil || now.ImageID != "f00" {
		t.Errorf("%v, %v", now.ImageID, err)
	}
}

// A renewal that was cut when the container was gone ends with the image that an update went back to.
func TestCutRenewalObeysTheLedger(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", old)
	w.renewed(r)
	if err := w.Containers.Remove(t.Context(), r, true, false, 0); err != nil {
		t.Fatal(err)
	}
	b, _, err := ledger.Open(ledger.Dir(w.store.GraphRoot()))
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ledger.Held{Unit: "web.service", Container: "web", Reference: "r/a:1", BadID: "new", ImageID: "f00"})
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if err := w.FinishRenewals(t.Context()); err != nil || w.notes() != 0 {
		t.Errorf("%v; %d notes", err, w.notes())
	}
	if now, err := w.Containers.Lookup(r.ID); err != nil || now.ImageID != "f00" || !w.manager.asked("start web.service") {
		t.Errorf("%v, %v; %v", now.ImageID, err, w.manager.calls)
	}
}
