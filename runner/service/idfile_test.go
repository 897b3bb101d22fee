// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// TestFileForTheID: a file with the ID of a container that is gone is in nobody's way, any other is.
func TestFileForTheID(t *testing.T) {
	const refused = "--cidfile %s: the file exists"
	for name, c := range map[string]struct {
		before func(t *testing.T, w *world, path string)
		asked  func(c *spec.Container)
		free   bool
	}{
		"none":                 {free: true},
		"of one that is gone":  {before: func(t *testing.T, _ *world, path string) { put(t, path, container.NewID()) }, free: true},
		"with a newline":       {before: func(t *testing.T, _ *world, path string) { put(t, path, container.NewID()+"\n") }, free: true},
		"of one that is there": {before: func(t *testing.T, w *world, path string) { put(t, path, w.made("other", nil).ID) }},
		"of one that makes way": {
			before: func(t *testing.T, w *world, path string) { put(t, path, w.made("web", nil).ID) },
			asked:  func(c *spec.Container) { c.Replace = true }, free: true,
		},
		"of another one, with --replace": {
			before: func(t *testing.T, w *world, path string) { put(t, path, w.made("other", nil).ID) },
			asked:  func(c *spec.Container) { c.Replace = true },
		},
		"of another tool's": {before: func(t *testing.T, w *world, path string) {
			id := container.NewID()
			if _, err := w.store.CreateContainer(id, nil, "", "", "", nil); err != nil {
				t.Fatal(err)
			}
			put(t, path, id)
		}},
		"of one that is about to be": {before: func(t *testing.T, w *world, path string) {
			written, err := w.cidFile(path).write(container.NewID())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(written)
		}},
		"of a start that was killed before it wrote": {before: func(t *testing.T, _ *world, path string) { put(t, path, "") }, free: true},
		"empty, and somebody is at it": {before: func(t *testing.T, _ *world, path string) {
			put(t, path, "")
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			if locked, err := safe.TryFlock(f); !locked || err != nil {
				t.Fatal(err)
			}
		}},
		"a blank":    {before: func(t *testing.T, _ *world, path string) { put(t, path, "\n") }},
		"with words": {before: func(t *testing.T, _ *world, path string) { put(t, path, strings.Repeat("word", 16)) }},
		"with more":  {before: func(t *testing.T, _ *world, path string) { put(t, path, container.NewID()+"\nmore") }},
		"a link": {before: func(t *testing.T, _ *world, path string) {
			put(t, path+"-2", container.NewID())
			if err := os.Symlink(path+"-2", path); err != nil {
				t.Fatal(err)
			}
		}},
		"a directory": {before: func(t *testing.T, _ *world, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			path := filepath.Join(t.TempDir(), "id")
			if c.before != nil {
				c.before(t, w, path)
			}
			asked := w.asked("web")
			asked.CIDFile = path
			if c.asked != nil {
				c.asked(asked)
			}
			had, _ := w.Containers.List()
			r, err := w.Create(t.Context(), asked, nil)
			if c.free {
				if id, rerr := os.ReadFile(path); err != nil || rerr != nil || string(id) != r.ID {
					t.Errorf("%v; %q, %v", err, id, rerr)
				}
				return
			}
			if err == nil || err.Error() != strings.ReplaceAll(refused, "%s", path) || hint.Of(err) == "" {
				t.Errorf("%v", err)
			}
			if has, _ := w.Containers.List(); len(has) != len(had) {
				t.Errorf("it was made: %+v", has)
			}
		})
	}
}

// TestFileForTheIDOfAPod: the same for pods.
func TestFileForTheIDOfAPod(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "id")
	put(t, path, container.NewID())
	p, err := w.CreatePod(t.Context(), spec.Pod{Name: "media", PodIDFile: path}, nil)
	if id, rerr := os.ReadFile(path); err != nil || rerr != nil || string(id) != p.ID {
		t.Fatalf("%v; %q, %v", err, id, rerr)
	}
	if _, err := w.CreatePod(t.Context(), spec.Pod{Name: "two", PodIDFile: path}, nil); err == nil || err.Error() != "--pod-id-file "+path+": the file exists" {
		t.Errorf("%v", err)
	}
}

// TestFileForTheIDOfAPodThatMakesWay is not in the way, that of another pod is.
func TestFileForTheIDOfAPodThatMakesWay(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "id")
	asked := spec.Pod{Name: "media", PodIDFile: path, Replace: true}
	for range 2 {
		p, err := w.CreatePod(t.Context(), asked, nil)
		if id, rerr := os.ReadFile(path); err != nil || rerr != nil || string(id) != p.ID {
			t.Fatalf("%v; %q, %v", err, id, rerr)
		}
	}
	for _, c := range []spec.Pod{{Name: "media", PodIDFile: path}, {Name: "two", PodIDFile: path, Replace: true}} {
		if _, err := w.CreatePod(t.Context(), c, nil); err == nil || err.Error() != "--pod-id-file "+path+": the file exists" {
			t.Errorf("%s, replace %t: %v", c.Name, c.Replace, err)
		}
	}
}

// TestFileForTheIDOfAnotherOwner: who makes the file writes it, also where the file system gives what
// is new to another user. Only root can have it so here.
func TestFileForTheIDOfAnotherOwner(t *testing.T) {
	const other = 7
	t.Chdir(t.TempDir()) // the path leads through directories that are root's
	if err := os.Chown(".", other, other); err != nil && os.Geteuid() == 0 {
		t.Fatal(err)
	}
	runtime.LockOSThread() // the files of this thread are the other's
	t.Cleanup(runtime.UnlockOSThread)
	if err := unix.Setfsuid(other); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setfsuid(os.Geteuid()); err != nil {
			t.Error(err)
		}
	})
	id := container.NewID()
	written, err := idFile{"cidfile", "id", func(string) bool { return true }}.write(id)
	if got, rerr := os.ReadFile("id"); err != nil || rerr != nil || string(got) != id {
		t.Fatalf("%v; %q, %v", err, got, rerr)
	}
	written()
	var st unix.Stat_t
	if err := unix.Stat("id", &st); err != nil || os.Geteuid() == 0 && st.Uid != other {
		t.Errorf("it is user %d's, %v", st.Uid, err)
	}
}

// TestFileForTheIDHasOneMaker: of several who begin at once, each of whom sees the empty file of
// another one, one gets it.
func TestFileForTheIDHasOneMaker(t *testing.T) {
	for range 200 {
		var known sync.Map
		file := idFile{"cidfile", filepath.Join(t.TempDir(), "id"), func(id string) bool {
			_, ok := known.Load(id)
			return ok
		}}
		var makers sync.WaitGroup
		var wrote atomic.Int32
		for range 4 {
			makers.Go(func() {
				id := container.NewID()
				written, err := file.write(id)
				if err != nil {
					return
				}
				wrote.Add(1)
				known.Store(id, nil)
				written()
			})
		}
		makers.Wait()
		if n := wrote.Load(); n != 1 {
			t.Fatalf("%d wrote it", n)
		}
	}
}

// TestFileForTheIDIsLocked until the storage knows the container.
func TestFileForTheIDIsLocked(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "id")
	for range 2 { // the second time it takes the place of the first
		written, err := w.cidFile(path).write(container.NewID())
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if locked, err := safe.TryFlock(f); locked || err != nil {
			t.Errorf("nobody has its lock: %v", err)
		}
		written()
		if locked, err := safe.TryFlock(f); !locked || err != nil {
			t.Errorf("it is locked: %v", err)
		}
		f.Close()
	}
}

// put writes a file.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
