// SPDX-License-Identifier: Apache-2.0

package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/lockfile"
)

// lists is a storage that is nothing but its place.
type lists struct {
	storage.Store
	root string
}

func (l lists) GraphRoot() string       { return l.root }
func (l lists) RunRoot() string         { return filepath.Join(l.root, "run") }
func (l lists) GraphDriverName() string { return "overlay" }

// TestSweep removes what a dead writer has left, and leaves a living one alone.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "overlay-layers")
	stale, list := filepath.Join(dir, ".tmp-layers.json123"), filepath.Join(dir, "layers.json")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{stale, list} {
		if err := os.WriteFile(path, []byte("[]"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mounts := filepath.Join(root, "run", "overlay-layers")
	if err := os.MkdirAll(mounts, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mounts, ".tmp-mountpoints.json7"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := lockfile.GetLockFile(filepath.Join(dir, "layers.lock"))
	if err != nil {
		t.Fatal(err)
	}
	lock.Lock()
	living := filepath.Join(dir, ".tmp-layers.json456")
	if err := os.WriteFile(living, []byte("[1]"), 0o600); err != nil {
		t.Fatal(err)
	}
	swept := make(chan error)
	go func() { swept <- Sweep(lists{root: root}) }()
	time.Sleep(20 * time.Millisecond) // it waits for the lock, or has done what it should not
	if err := os.Rename(living, list); err != nil {
		t.Error(err)
	}
	lock.Unlock()
	if err := <-swept; err != nil {
		t.Error(err)
	}
	for dir, want := range map[string][]string{dir: {"layers.json", "layers.lock"}, mounts: {"mountpoints.lock"}} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if !slices.Equal(names, want) {
			t.Errorf("in %s is %v, want %v", dir, names, want)
		}
	}
}

// TestSweepImages removes the data of images that the list does not have, and what was half-written
// in that of others.
func TestSweepImages(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "overlay-images")
	there, lost := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for _, name := range []string{there + "/manifest", there + "/.tmp-manifest1", lost + "/manifest", "other/file"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (names []string) {
		for _, pattern := range []string{"*/*", "*/.*"} {
			found, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range found {
				names = append(names, strings.TrimPrefix(path, dir+"/"))
			}
		}
		return names
	}
	all := left()
	if err := SweepImages(lists{root: root}); err != nil || !slices.Equal(left(), all) {
		t.Errorf("without a list: %v, left %v", err, left())
	}
	if err := os.WriteFile(filepath.Join(dir, "images.json"), []byte(`[{"id":"`+there+`"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SweepImages(lists{root: root}); err == nil || !slices.Equal(left(), all) {
		t.Errorf("with half a list: %v, left %v", err, left())
	}
	if err := os.WriteFile(filepath.Join(dir, "images.json"), []byte(`[{"id":"`+there+`"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SweepImages(lists{root: root}); err != nil || !slices.Equal(left(), []string{there + "/manifest", "other/file"}) {
		t.Errorf("%v, left %v", err, left())
	}
}
