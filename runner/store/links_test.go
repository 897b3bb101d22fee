// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/lockfile"
)

// linked is a storage with layers whose short names are in any state.
type linked struct {
	*testing.T
	options storage.StoreOptions
	home    string // of the driver
	run     string
}

// newLinked makes one. Of each layer, by its ID, files has what its file holds, "-" for none; links
// are short names with the ID of their layer.
func newLinked(t *testing.T, files, links map[string]string) linked {
	t.Helper()
	root := t.TempDir()
	l := linked{T: t, options: storage.StoreOptions{GraphRoot: root}, home: filepath.Join(root, "overlay"), run: t.TempDir()}
	err := errors.Join(os.MkdirAll(filepath.Join(l.home, "l"), 0o755), os.MkdirAll(filepath.Join(root, "overlay-layers"), 0o755))
	for id, text := range files {
		err = errors.Join(err, os.MkdirAll(filepath.Join(l.home, id, "diff"), 0o755))
		if text != "-" {
			err = errors.Join(err, os.WriteFile(filepath.Join(l.home, id, "link"), []byte(text), 0o644))
		}
	}
	for name, id := range links {
		err = errors.Join(err, os.Symlink(filepath.Join("..", id, "diff"), filepath.Join(l.home, "l", name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// keep mends as the opening of the storage does.
func (l linked) keep() {
	l.Helper()
	if err := keepLinks(l.options, l.run); err != nil {
		l.Error(err)
	}
}

// list writes the list of layers.
func (l linked) list(text string) {
	l.Helper()
	if err := os.WriteFile(filepath.Join(l.options.GraphRoot, "overlay-layers", "volatile-layers.json"), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
}

// names gives the ID of a layer for each link.
func (l linked) names() map[string]string {
	l.Helper()
	found := make(map[string]string)
	entries, err := os.ReadDir(filepath.Join(l.home, "l"))
	if err != nil {
		l.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(l.home, "l", e.Name()))
		if err != nil {
			l.Fatal(err)
		}
		found[e.Name()] = strings.TrimSuffix(strings.TrimPrefix(target, "../"), "/diff")
	}
	return found
}

func (l linked) file(id string) string {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.home, id, "link"))
	if err != nil {
		l.Error(err)
	}
	return string(text)
}

// TestLinksOfAKilledCreate: the driver removes l/NAME with a layer, and all of l where the file
// with the name is empty, as it is when its writer was killed.
func TestLinksOfAKilledCreate(t *testing.T) {
	l := newLinked(t, map[string]string{"image": "IMAGE", "begun": "IMAGE2"}, map[string]string{"IMAGE": "image", "IMAGE2": "begun"})
	l.keep() // what follows is seen by the list alone
	if err := os.Truncate(filepath.Join(l.home, "begun", "link"), 0); err != nil {
		t.Fatal(err)
	}
	l.list(`[{"id":"begun","flags":{"incomplete":true}}]`)
	l.keep()
	if got := l.file("begun"); got != "IMAGE2" {
		t.Errorf("the driver would remove l/%s, and not the layer's own short name", got)
	}
}

// TestLinksMended has a case for each state.
func TestLinksMended(t *testing.T) {
	l := newLinked(t, map[string]string{
		"whole": "WHOLE", "lost": "LOST", "empty": "", "zeros": "\x00\x00\x00\x00\x00", "unwritten": "-", "neither": "", "up": "../..", "tempdirs": "-",
	}, map[string]string{"WHOLE": "whole", "EMPTY": "empty", "ZEROS": "zeros", "UNWRITTEN": "unwritten", "GONE": "gone"})
	l.keep()
	got := l.names()
	want := map[string]string{"WHOLE": "whole", "LOST": "lost", "EMPTY": "empty", "ZEROS": "zeros", "UNWRITTEN": "unwritten"}
	for _, id := range []string{"neither", "up"} { // they have new ones
		want[l.file(id)] = id
	}
	if !maps.Equal(got, want) {
		t.Errorf("links %v, want %v", got, want)
	}
	for name, id := range want {
		if l.file(id) != name {
			t.Errorf("the file of %s says %q, and its link is %s", id, l.file(id), name)
		}
	}
	if _, err := os.Lstat(filepath.Join(l.home, "tempdirs", "link")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is no layer has a name: %v", err)
	}
}

// TestLinksLost: the directory with all short names was replaced by an empty one.
func TestLinksLost(t *testing.T) {
	l := newLinked(t, map[string]string{"a": "AAAA", "b": "BBBB"}, map[string]string{"AAAA": "a", "BBBB": "b"})
	l.keep()
	before := l.names()
	if err := errors.Join(os.RemoveAll(filepath.Join(l.home, "l")), os.Mkdir(filepath.Join(l.home, "l"), 0o755)); err != nil {
		t.Fatal(err)
	}
	l.keep()
	if got := l.names(); !maps.Equal(got, before) {
		t.Errorf("links %v, want %v", got, before)
	}
}

// TestLinksAreLookedAtOnce: a look at all layers takes long where there are many.
func TestLinksAreLookedAtOnce(t *testing.T) {
	l := newLinked(t, map[string]string{"a": "AAAA"}, map[string]string{"AAAA": "a"})
	l.keep()
	if err := os.Remove(filepath.Join(l.home, "l", "AAAA")); err != nil {
		t.Fatal(err)
	}
	l.keep()
	if got := l.names(); len(got) != 0 {
		t.Errorf("it has looked again: %v", got)
	}
	l.run = t.TempDir() // the next boot
	l.keep()
	if got := l.names(); len(got) != 1 {
		t.Error("it has not looked after a boot")
	}
}

// TestLinksWhileALayerIsAdded: who adds a layer has its links in any state, and may take long.
func TestLinksWhileALayerIsAdded(t *testing.T) {
	l := newLinked(t, map[string]string{"a": ""}, map[string]string{"AAAA": "a"})
	lock, err := lockfile.GetLockFile(filepath.Join(l.options.GraphRoot, "overlay-layers", "layers.lock"))
	if err != nil {
		t.Fatal(err)
	}
	lock.Lock()
	l.keep()
	if got := l.file("a"); got != "" {
		t.Errorf("written under a maker's hands: %q", got)
	}
	lock.Unlock()
	l.keep()
	if got := l.file("a"); got != "AAAA" {
		t.Errorf("not mended by the next process: %q", got)
	}
}

// TestLinksWithoutARunDir: no note is written where the process happens to be.
func TestLinksWithoutARunDir(t *testing.T) {
	l := newLinked(t, nil, nil)
	t.Chdir(t.TempDir())
	if err := keepLinks(l.options, ""); err == nil {
		t.Error("it has a place for its note")
	}
	if got, err := os.ReadDir("."); err != nil || len(got) > 0 {
		t.Errorf("made %v, %v", got, err)
	}
}

// TestLinksOfNoStorage: nothing is made where there is no storage yet, or one of another driver.
func TestLinksOfNoStorage(t *testing.T) {
	for _, driver := range []string{"", "vfs"} {
		root := t.TempDir()
		if err := keepLinks(storage.StoreOptions{GraphRoot: root, GraphDriverName: driver}, t.TempDir()); err != nil {
			t.Error(err)
		}
		if got, err := filepath.Glob(filepath.Join(root, "*")); err != nil || !slices.Equal(got, nil) {
			t.Errorf("made %v, %v", got, err)
		}
	}
}
