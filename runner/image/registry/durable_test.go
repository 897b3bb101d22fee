// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.podman.io/storage"
)

// recorder is a storage that tells what comes in which order.
type recorder struct {
	storage.Store
	order []string
}

func (r *recorder) GraphRoot() string  { return "/graph" }
func (r *recorder) ImageStore() string { return "/images" }
func (r *recorder) CreateImage(id string, _ []string, _, _ string, _ *storage.ImageOptions) (*storage.Image, error) {
	r.order = append(r.order, "image "+id)
	return &storage.Image{ID: id}, nil
}

// TestAnImageComesAfterItsLayers: the list names an image when the disk has its layers, and never if
// the disk could not have them.
func TestAnImageComesAfterItsLayers(t *testing.T) {
	r := &recorder{}
	d := durable{r, func(dir string) error {
		r.order = append(r.order, "sync "+dir)
		return nil
	}}
	if _, err := d.CreateImage("one", nil, "layer", "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.CreateImage("list", nil, "", "", nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"sync /graph", "sync /images", "image one", "image list"}; !slices.Equal(r.order, want) {
		t.Errorf("%q, want %q", r.order, want)
	}
	broken := errors.New("no disk")
	d.sync, r.order = func(string) error { return broken }, nil
	if _, err := d.CreateImage("two", nil, "layer", "", nil); !errors.Is(err, broken) || len(r.order) > 0 {
		t.Errorf("a disk that fails: %v, then %q", err, r.order)
	}
	if err := syncDisk(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestEveryImageIsSynced: pulls store images in a storage that is durable.
func TestEveryImageIsSynced(t *testing.T) {
	if _, ok := newWorld(t).store.(durable); !ok {
		t.Error("images are stored without a sync of their layers")
	}
}

// TestLayersOfAnEarlierBoot: what a pull of an earlier boot has left may have lost its content with
// the power. It is pulled again, where one of the same boot goes on with it.
func TestLayersOfAnEarlierBoot(t *testing.T) {
	for boot, wantLost := range map[string]bool{"run": true, "next boot": false} {
		w := interrupted(t)
		layers, err := w.store.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		lost := 0
		dir := w.LayerDir(&layers[0])
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				lost++
				err = os.Truncate(path, 0)
			}
			return err
		})
		if err != nil || lost == 0 {
			t.Fatalf("%d files lost: %v", lost, err)
		}
		w.registry.set(func() { clear(w.registry.hang) })
		again := *w
		again.Images = New(w.store, filepath.Join(w.dir, boot))
		again.base = w.base
		for range 2 { // the second finds all as it is
			again.pull("app:1")
		}
		empty := 0
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if info, e := d.Info(); e == nil && d.Type().IsRegular() && info.Size() == 0 {
				empty++
			}
			return err
		})
		if (empty > 0) != wantLost {
			t.Errorf("%s: %d files of the layer are empty", boot, empty)
		}
		w.layers(2)
	}
}
