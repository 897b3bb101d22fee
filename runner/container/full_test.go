// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// full is a storage on a disk that a container has filled: while its file is there, no list
// can be written.
type full struct {
	storage.Store
	root    string
	deleted bool
}

func (f *full) GraphRoot() string     { return f.root }
func (f *full) RunRoot() string       { return filepath.Join(f.root, "run") }
func (*full) GraphDriverName() string { return "overlay" }
func (f *full) file() string          { return filepath.Join(f.root, "overlay", "layer", "diff", "dir", "fill") }

func (f *full) Container(string) (*storage.Container, error) {
	return &storage.Container{ID: "c", LayerID: "layer"}, nil
}

func (f *full) DeleteContainer(string) error {
	if _, err := os.Stat(f.file()); err == nil {
		return &os.PathError{Op: "write", Path: "layers.json", Err: unix.ENOSPC}
	}
	f.deleted = true
	return nil
}

// TestRemoveOnAFullDisk: a container that has filled the disk can be removed.
func TestRemoveOnAFullDisk(t *testing.T) {
	f := &full{root: t.TempDir()}
	precious := filepath.Join(f.root, "precious")
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(f.file()), 0o700), os.WriteFile(f.file(), []byte("fill"), 0o600),
		os.Mkdir(precious, 0o700), os.WriteFile(filepath.Join(precious, "file"), nil, 0o600),
		os.Symlink(precious, filepath.Join(f.root, "overlay", "layer", "diff", "link")),
		os.WriteFile(filepath.Join(f.root, "overlay", "layer", "link"), []byte("SHORT"), 0o600), os.Mkdir(filepath.Join(f.root, "overlay", "l"), 0o700),
		os.Symlink("../layer/diff", filepath.Join(f.root, "overlay", "l", "SHORT")), os.Symlink("../other/diff", filepath.Join(f.root, "overlay", "l", "OTHER")),
	); err != nil {
		t.Fatal(err)
	}
	e := &Engine{Store: f}
	if err := e.deleteContainer("c"); err != nil || !f.deleted {
		t.Errorf("it stays: %v", err)
	}
	if _, err := os.Stat(filepath.Join(precious, "file")); err != nil {
		t.Errorf("what a link of the container's leads to: %v", err)
	}
	for _, name := range []string{"layer", "l/SHORT"} {
		if _, err := os.Lstat(filepath.Join(f.root, "overlay", name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left: %s, %v", name, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(f.root, "overlay", "l", "OTHER")); err != nil {
		t.Error(err)
	}
}

// ContainerDirectory fails as long as the disk is full: the directory is not there yet.
func (f *full) ContainerDirectory(id string) (string, error) {
	dir := filepath.Join(f.root, "overlay-containers", id, "userdata")
	if _, err := os.Stat(f.file()); err == nil {
		return "", &os.PathError{Op: "mkdir", Path: dir, Err: unix.ENOSPC}
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// TestLookOnAFullDisk: a container that was never started is shown, and can be stopped, where the
// storage cannot even make a directory for it.
func TestLookOnAFullDisk(t *testing.T) {
	f := &full{root: t.TempDir()}
	if err := errors.Join(os.MkdirAll(filepath.Dir(f.file()), 0o700), os.WriteFile(f.file(), []byte("fill"), 0o600)); err != nil {
		t.Fatal(err)
	}
	e := &Engine{Store: f}
	if x, err := e.Exit("c"); x != nil || err != nil {
		t.Errorf("how it ended: %v, %v", x, err)
	}
	if stopped, err := e.Stopped("c"); stopped || err != nil {
		t.Errorf("stopped: %t, %v", stopped, err)
	}
	if err := e.forgetStopped("c"); err != nil {
		t.Error(err)
	}
	r := Record{ID: "c"}
	if err := e.NoteStopped(r); !errors.Is(err, ErrNoRoom) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("the note of a stop: %v", err)
	}
	if err := os.Remove(f.file()); err != nil {
		t.Fatal(err)
	}
	if err := e.NoteStopped(r); err != nil {
		t.Error(err)
	}
	if stopped, err := e.Stopped("c"); !stopped || err != nil {
		t.Errorf("stopped, with room again: %t, %v", stopped, err)
	}
}

// TestNoRoomByStrangeNames: what the lists and files of a damaged storage name takes no layers of
// others.
func TestNoRoomByStrangeNames(t *testing.T) {
	for _, c := range []struct{ layer, short string }{{"", "SHORT"}, {".", "SHORT"}, {"../overlay", "SHORT"}, {"other/diff", "SHORT"}, {"layer", "."}, {"layer", "../other"}} {
		f := &full{root: t.TempDir()}
		overlay := filepath.Join(f.root, "overlay")
		if err := errors.Join(
			os.MkdirAll(filepath.Join(overlay, "layer"), 0o700), os.MkdirAll(filepath.Join(overlay, "other", "diff"), 0o700), os.Mkdir(filepath.Join(overlay, "l"), 0o700),
			os.WriteFile(filepath.Join(overlay, "layer", "link"), []byte(c.short), 0o600), os.Symlink("../other/diff", filepath.Join(overlay, "l", "OTHER")),
		); err != nil {
			t.Fatal(err)
		}
		err := (&Engine{Store: f}).makeRoom(storage.Container{ID: "c", LayerID: c.layer})
		if (err == nil) != (c.layer == "layer") {
			t.Errorf("layer %q: %v", c.layer, err)
		}
		for _, name := range []string{"other/diff", "l/OTHER"} {
			if _, err := os.Lstat(filepath.Join(overlay, name)); err != nil {
				t.Errorf("layer %q, link %q: %v", c.layer, c.short, err)
			}
		}
	}
}
