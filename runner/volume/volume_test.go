// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestVolumes(t *testing.T) {
	root := t.TempDir()
	v := New(root)
	if all, err := v.List(); err != nil || len(all) != 0 {
		t.Fatalf("an empty storage: %v, %v", all, err)
	}
	o := Options{Labels: map[string]string{"app": "web"}, Options: map[string]string{"o": "nocopy"}, UID: os.Getuid(), GID: os.Getgid()}
	made, err := v.Create("web", o)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(root, "volumes", "web", "_data"); made.Dir != want || !isDir(want) {
		t.Errorf("directory %s, want %s", made.Dir, want)
	}
	got, err := v.Get("web")
	if err != nil || got.Labels["app"] != "web" || !got.NoCopy() || got.Foreign || time.Since(got.CreatedAt) > time.Minute {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := v.Create("web", o); !errors.Is(err, ErrExists) {
		t.Errorf("made twice: %v", err)
	}
	if got, isNew, err := v.Ensure(t.Context(), "web", Options{}); err != nil || isNew || got.Dir != made.Dir || !got.NoCopy() {
		t.Errorf("ensure one that is there: %+v, %v, %v", got, isNew, err)
	}
	if err := os.MkdirAll(filepath.Join(root, "volumes", "theirs", "_data"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := v.List()
	if err != nil || len(all) != 2 || all[0].Name != "theirs" || !all[0].Foreign {
		t.Errorf("list %+v, %v", all, err)
	}
	if err := os.WriteFile(filepath.Join(made.Dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// An earlier removal of the same name was cut by a power failure.
	if err := os.MkdirAll(filepath.Join(root, "volumes", removing+"web", "half"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.Remove(t.Context(), "web", nil), v.Remove(t.Context(), "web", nil)); err != nil {
		t.Error(err)
	}
	if _, err := v.Get("web"); !errors.Is(err, ErrNotFound) {
		t.Errorf("it is still there: %v", err)
	}
	if left, _ := os.ReadDir(filepath.Join(root, "volumes")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNames(t *testing.T) {
	v := New(t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", ".making-1", "-x", "ä"} {
		if _, err := v.Create(name, Options{}); err == nil {
			t.Errorf("name %q is taken", name)
		}
		if err := v.Remove(t.Context(), name, nil); err == nil {
			t.Errorf("name %q is removed", name)
		}
	}
	long := strings.Repeat("a", maxName)
	if _, err := v.Create(long+"a", Options{}); err == nil || !strings.Contains(err.Error(), "of 241 characters: it may have 240") || len(err.Error()) > 200 {
		t.Errorf("a long name: %v", err)
	}
	if _, err := v.Create(long, Options{}); err != nil {
		t.Errorf("the longest name: %v", err)
	}
}

// Of many that ensure one volume at a time, one makes it.
func TestEnsureAtOnce(t *testing.T) {
	v := New(t.TempDir())
	if os.Getuid() != 0 {
		// An owner can be given by root only.
		if _, _, err := v.Ensure(t.Context(), "x", Options{}); err == nil {
			t.Error("a directory of root's was made by somebody else")
		}
		return
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 20 {
		wg.Go(func() {
			_, isNew, err := v.Ensure(t.Context(), "x", Options{})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if isNew {
				made++
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

// TestCreateFilled: a volume that is filled as it is made is not there before it is full, and not
// at all if that fails.
func TestCreateFilled(t *testing.T) {
	v := New(t.TempDir())
	fault := errors.New("half an archive")
	for _, want := range []error{fault, nil} {
		got, err := v.Create("v", Options{Fill: func(dir string) error {
			if _, err := v.Get("v"); !errors.Is(err, ErrNotFound) {
				t.Errorf("it is there before it is full: %v", err)
			}
			return errors.Join(want, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
		}})
		if !errors.Is(err, want) {
			t.Fatal(err)
		}
		if want == nil {
			_, err = os.Stat(filepath.Join(got.Dir, "file"))
		} else if _, err = v.Get("v"); errors.Is(err, ErrNotFound) {
			err = nil
		}
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Create("m", Options{Options: map[string]string{"type": "tmpfs", "device": "tmpfs"}, Fill: func(string) error { return nil }}); err == nil {
		t.Error("a volume that stands for something was filled")
	}
}
