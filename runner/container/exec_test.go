// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/hint"
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

// TestExecWhileItEnds: where a container ends just before its users are looked at, that is what is
// said, and not that its root cannot be opened.
func TestExecWhileItEnds(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	r := Record{ID: "c", Name: "web"}
	if err := errors.Join(os.MkdirAll(e.Dir("c"), 0o700), WriteJSON(filepath.Join(e.Dir("c"), "status.json"), Status{PID: 1 << 30, StartTicks: 1})); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"", "nobody"} {
		_, err := e.process(r, Exec{User: user}, &rspec.Process{}, 1<<30)
		if h := hint.Of(err); h != "container web does not run: podunit start web" {
			t.Errorf("as %q: %v: %q", user, err, h)
		}
	}
}
