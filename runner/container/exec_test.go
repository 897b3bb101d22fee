// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKilledExec: the files of an exec that was killed go with the next one, those of one
// that runs stay.
func TestKilledExec(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	dir := e.Dir("c")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exec-1.json", "exec-1.log", "exec-2.json", "exec-2.log", "config.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "exec-1.state", "id"), 0o700); err != nil {
		t.Fatal(err)
	}
	running, err := os.Open(filepath.Join(dir, "exec-2.json"))
	if err := errors.Join(err, unix.Flock(int(running.Fd()), unix.LOCK_SH), os.WriteFile(filepath.Join(dir, "exec-3.json"), nil, 0o600)); err != nil {
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
	if want := []string{"config.json", "exec-2.json", "exec-2.log", "exec-3.json"}; !slices.Equal(names, want) {
		t.Errorf("left %v, want %v", names, want)
	}
}
