// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/kube"
)

// TestDocumented: the document of a CronJob's run is the CronJob's, which is found by its own name, too.
func TestDocumented(t *testing.T) {
	tv := &State{Name: "tv.service", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "web"}, {Name: "tick-pod", Cron: &kube.Cron{Name: "tick"}}}}}
	run := &State{Name: "cron tick-7", Of: "tv.service", Cron: "tick", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "tick-7-pod"}}}}
	lost := &State{Name: "cron tock-7", Of: "gone.service", Cron: "tock", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "tock-7-pod"}}}}
	all := []*State{run, lost, tv}
	for name, want := range map[string]string{"web": "web", "tick-7-pod": "tick-pod"} {
		if st, got := documented(all, name); st != tv || got != want {
			t.Errorf("%s: %v %s", name, st, got)
		}
	}
	for _, name := range []string{"tock-7-pod", "none"} {
		if st, got := documented(all, name); st != nil {
			t.Errorf("%s: %v %s", name, st, got)
		}
	}
	for _, name := range []string{"tick", "tick-pod"} {
		if st, got := cronJob(all, name); st != tv || got != "tick-pod" {
			t.Errorf("%s: %v %s", name, st, got)
		}
	}
	if st, _ := cronJob(all, "web"); st != nil {
		t.Error("a pod is no CronJob")
	}
}

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
