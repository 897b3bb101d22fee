// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKilledExec: what an exec that was killed has left goes with the next one; what one has that
// runs, or has just begun, stays.
func TestKilledExec(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	dir := e.Dir("c")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exec-1/id", "exec-2/id", "exec-3", "id"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	running, err := lock(filepath.Join(dir, "exec-2"), unix.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	e.sweepExecs("c")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{"exec-2", "exec-3", "id"}; !slices.Equal(names, want) {
		t.Errorf("left %v, want %v", names, want)
	}
}
