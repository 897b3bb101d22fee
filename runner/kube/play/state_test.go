// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"os"
	"path/filepath"
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
