// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/kube"
)

// TestDownReadsUnderTheLock: who takes down a play, by hand or in place of another's pods, waits
// until nobody else is at it, and works with what is noted then. Of one that is gone nothing is
// left to do.
func TestDownReadsUnderTheLock(t *testing.T) {
	pods := func(names ...string) *kube.Plan {
		plan := &kube.Plan{}
		for _, name := range names {
			plan.Pods = append(plan.Pods, &kube.Pod{Name: name, Unit: name + "-pod.service"})
		}
		return plan
	}
	for name, do := range map[string]func(w *world, before *State) error{
		"down": func(w *world, _ *State) error {
			_, err := w.Down(context.Background(), pods("web"), false)
			return err
		},
		"take over": func(w *world, before *State) error {
			return (&work{Player: w.Player, took: map[*State][]string{before: {"web"}}}).takeOver(context.Background())
		},
	} {
		for _, gone := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				save := func(plan *kube.Plan) {
					t.Helper()
					if err := w.Player.store.save(&State{Name: "pod web", Plan: plan}); err != nil {
						t.Fatal(err)
					}
				}
				save(pods("web"))
				release := w.hold("kube pod web")
				before, err := w.Player.store.load("pod web")
				if err != nil {
					t.Fatal(err)
				}
				done := make(chan error, 1)
				go func() { done <- do(w, before) }()
				select {
				case err := <-done:
					t.Fatalf("it did not wait: %v", err)
				case <-time.After(100 * time.Millisecond):
				}
				if gone {
					err = w.Player.store.forget("pod web")
				} else {
					save(pods("web", "db")) // another pod came into the play
				}
				release()
				if err := errors.Join(err, <-done); err != nil {
					t.Fatal(err)
				}
				st, err := w.Player.store.load("pod web")
				switch {
				case gone && !errors.Is(err, ErrNotFound):
					t.Errorf("it is noted again: %+v, %v", st, err)
				case !gone && (err != nil || len(st.Plan.Pods) != 1 || st.Plan.Pods[0].Name != "db"):
					t.Errorf("noted: %+v, %v", st, err)
				}
			})
		}
	}
}

// TestDownAfterAKilledOne: a down that was killed when the pod was removed leaves the pod's volumes,
// and the next one takes them.
func TestDownAfterAKilledOne(t *testing.T) {
	w := newWorld(t)
	st := w.playing(t, twoContainers)
	r, err := w.Pods.LookupExact("web")
	if err != nil {
		t.Fatal(err)
	}
	dirs := []string{w.Player.store.podData(r.ID), w.Player.store.podFiles(r.ID)}
	for _, dir := range dirs {
		if err := os.MkdirAll(filepath.Join(dir, "volume"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Pods.Remove(t.Context(), r, true, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Down(t.Context(), st.Plan, false); err != nil {
		t.Fatal(err)
	}
	for _, path := range append(dirs, w.Player.store.path(st.Name)) {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
}
