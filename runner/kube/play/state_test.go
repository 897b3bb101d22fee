// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podunit/podunit/runner/kube"
)

// TestAllLeavesOut: notes that go just now, or cannot be read, are no error for all the others.
func TestAllLeavesOut(t *testing.T) {
	w := newWorld(t)
	if err := w.Player.store.save(&State{Name: "good", Plan: &kube.Plan{}}); err != nil {
		t.Fatal(err)
	}
	// A link that leads nowhere is listed, and gone when it is read.
	dir := filepath.Dir(w.Player.store.path("x"))
	if err := errors.Join(os.Symlink("none", filepath.Join(dir, "gone.json")), os.WriteFile(filepath.Join(dir, "cut.json"), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	all, err := w.Player.store.all()
	if err != nil || len(all) != 1 || all[0].Name != "good" {
		t.Errorf("%v, %v", all, err)
	}
	if !w.warned("cut.json") || w.warned("gone") {
		t.Errorf("%q", w.warnings)
	}
}

// TestNotedOnce: a play that replaces nothing writes its note and the record of its pod once each,
// as each write waits for the disk; one that replaces a pod has a new note at its end.
func TestNotedOnce(t *testing.T) {
	for name, replaces := range map[string]bool{"nothing was there": false, "a container goes": true} {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			plan := planned(t, otherContainers)
			w := &work{Player: world.Player, st: &State{Name: "pod web", Plan: plan}, plan: plan, seen: map[string]string{}}
			if replaces {
				w = world.replacing(t, world.playing(t, twoContainers), otherContainers)
			}
			if err := w.begin(); err != nil {
				t.Fatal(err)
			}
			number := func(path string) uint64 {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				return info.Sys().(*syscall.Stat_t).Ino
			}
			// A link keeps the number of the first file from being given to a second one.
			path := w.store.path(w.st.Name)
			if err := os.Link(path, filepath.Join(t.TempDir(), "note")); err != nil {
				t.Fatal(err)
			}
			first := number(path)
			if err := w.make(t.Context()); err != nil {
				t.Fatal(err)
			}
			if again := number(path) != first; again != replaces {
				t.Errorf("the note is written again: %v", again)
			}
			now, err := w.store.load(w.st.Name)
			if err != nil || container(now.Plan.Pods[0], "c") == nil || container(now.Plan.Pods[0], "b") != nil {
				t.Errorf("noted: %+v, %v", now, err)
			}
		})
	}
	world := newWorld(t)
	plan := planned(t, otherContainers)
	w := &work{Player: world.Player, st: &State{Name: "pod web", Plan: plan}, plan: plan, seen: map[string]string{}}
	r, err := w.create(t.Context(), plan.Pods[0])
	if err != nil || r.Spec.MainPIDFile == "" {
		t.Errorf("the record of the pod has no PID file yet: %+v, %v", r, err)
	}
}

// TestKilledPlayIsMadeWhole: what a killed play has left is in no later play's way; a whole one is,
// and it stays whole where a play in its place fails.
func TestKilledPlayIsMadeWhole(t *testing.T) {
	world := newWorld(t)
	play := func(text string, o Options) *work {
		plan := planned(t, text)
		return &work{Player: world.Player, st: &State{Name: "pod web", Plan: plan}, plan: plan, seen: map[string]string{}, Options: o}
	}
	killed := play(twoContainers, Options{})
	if err := errors.Join(killed.look(t.Context()), killed.begin()); err != nil {
		t.Fatal(err)
	}
	if _, err := killed.create(t.Context(), killed.plan.Pods[0]); err != nil {
		t.Fatal(err)
	}
	next := play(otherContainers, Options{})
	if err := next.look(t.Context()); err != nil {
		t.Fatalf("what was killed is in the way: %v", err)
	}
	if err := errors.Join(next.begin(), next.make(t.Context())); err != nil {
		t.Fatal(err)
	}
	if now, err := next.store.load("pod web"); err != nil || container(now.Plan.Pods[0], "c") == nil || container(now.Plan.Pods[0], "b") != nil {
		t.Errorf("noted: %+v, %v", now, err)
	}
	late := play(twoContainers, Options{})
	if err := late.look(t.Context()); err == nil || !strings.Contains(err.Error(), "pod already exists") {
		t.Errorf("a whole play is not in the way: %v", err)
	}
	failed := play(twoContainers, Options{Replace: true})
	if err := errors.Join(failed.look(t.Context()), failed.begin(), failed.undo(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := late.look(t.Context()); err == nil {
		t.Error("a whole play is not in the way, after another one has failed in its place")
	}
}

// TestForgetEndsWithTheNote: as long as something of a play is left, there is its note.
func TestForgetEndsWithTheNote(t *testing.T) {
	s := newWorld(t).Player.store
	plays := filepath.Dir(s.dir("pod web"))
	err := errors.Join(s.save(&State{Name: "pod web", Plan: &kube.Plan{}}), os.MkdirAll(filepath.Dir(plays), 0o700), os.WriteFile(plays, nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.forget("pod web"); err == nil {
		t.Error("its directory cannot be removed, and nobody says so")
	}
	if _, err := s.load("pod web"); err != nil {
		t.Errorf("the note is gone: %v", err)
	}
	half := s.path("pod web") + ".new" // of a write that was killed
	if err := errors.Join(os.Remove(plays), os.WriteFile(half, nil, 0o600), s.forget("pod web")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a note is left: %v", err)
	}
	if _, err := s.load("pod web"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the note is there: %v", err)
	}
}
