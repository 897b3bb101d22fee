// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/common/libimage"
	"go.podman.io/storage"
)

// interrupted is a world in which a pull was ended after it had stored the first of two
// layers.
func interrupted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	p := w.registry.push(t, "app:1", "", v1.ImageConfig{}, one(), map[string][]byte{"big": random(1, 200_000)})
	w.registry.hang[p.layers[1]] = 100_000
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if found, err := w.store.LayersByCompressedDigest(p.layers[0]); err == nil && len(found) == 1 {
				cancel()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := w.Pull(ctx, w.name("app:1"), w.options()); err == nil {
		t.Fatal("it was not interrupted")
	}
	w.layers(1)
	return w
}

// noteNames lists the notes below a directory of downloads.
func noteNames(own *os.Root) []string {
	entries, _ := os.ReadDir(own.Name() + "/layers") // there is none before the first
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// notes lists the notes that are left.
func (w *world) notes() []string {
	own, err := download.Open(w.store)
	if err != nil {
		w.t.Fatal(err)
	}
	defer own.Close()
	return noteNames(own)
}

func (w *world) layers(want int) {
	w.t.Helper()
	if got, err := w.store.Layers(); err != nil || len(got) != want {
		w.t.Errorf("%d layers, %v, want %d", len(got), err, want)
	}
}

// TestPruneAfterInterrupt: what a pull of ours has left goes at once, what may be another
// tool's does not, and while a pull is under way nothing does.
func TestPruneAfterInterrupt(t *testing.T) {
	w := interrupted(t)
	theirs, err := w.store.CreateLayer("", "", nil, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Prune(t.Context(), false, nil); err != nil {
		t.Error(err)
	}
	w.layers(2)
	work.Close(nil)
	locks := filepath.Join(w.dir, "run", "podunit", "pull")
	if err := os.WriteFile(filepath.Join(locks, "killed.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = download.WithLock(t.Context(), filepath.Join(w.dir, "run"), "other", time.Second, nil, func(*download.Lock, bool) error {
		if _, freed, err := w.Prune(t.Context(), false, nil); err != nil || freed == 0 {
			t.Errorf("freed %d, %v", freed, err)
		}
		if left, err := os.ReadDir(locks); err != nil || len(left) != 1 || left[0].Name() == "killed.lock" {
			t.Errorf("locks of pulls: %v, %v", left, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.layers(1)
	if _, err := w.store.Layer(theirs.ID); err != nil {
		t.Errorf("another tool's layer went: %v", err)
	}
	if left := append(w.files(), w.notes()...); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestPullAfterInterrupt: once the image is there, the first pull's note is settled.
func TestPullAfterInterrupt(t *testing.T) {
	w := interrupted(t)
	if len(w.notes()) != 1 {
		t.Errorf("nothing tells of the layer: %v", w.notes())
	}
	w.registry.set(func() { clear(w.registry.hang) })
	w.pull("app:1")
	if left := append(w.files(), w.notes()...); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	w.layers(2)
}

// TestKilledRemoval: a removal that was killed has noted which layers were to go.
func TestKilledRemoval(t *testing.T) {
	w := newWorld(t)
	below, err := w.store.CreateLayer("", "", nil, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	top, err := w.store.CreateLayer("", below.ID, nil, "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	// As it is in the middle: the image is gone from the list, its layers are not.
	w.noting([]storage.Image{{TopLayer: top.ID}}, func() {
		for _, name := range noteNames(own) {
			if err := own.Link("layers/"+name, "layers/killed"); err != nil {
				t.Error(err)
			}
		}
	})
	if _, _, err := w.Prune(t.Context(), false, nil); err != nil {
		t.Error(err)
	}
	w.layers(0)
	if left := append(w.files(), w.notes()...); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDropLayers: after a full disk a pull takes back what it has stored, and neither what
// was there before nor, while another pull is under way, anything.
func TestDropLayers(t *testing.T) {
	w := interrupted(t)
	layers, err := w.store.Layers()
	if err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	m := &meter{}
	for _, l := range layers {
		m.all = append(m.all, l.CompressedDigest)
	}
	w.dropLayers(t.Context(), own, m, time.Now())
	w.layers(1)
	work, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	w.dropLayers(t.Context(), own, m, time.Time{})
	w.layers(1)
	work.Close(nil)
	w.dropLayers(t.Context(), own, m, time.Time{})
	w.layers(0)
}

// TestRemoveTwice: what somebody else has removed meanwhile is no fault of a removal.
func TestRemoveTwice(t *testing.T) {
	if err := remaining([]error{nil, storage.ErrImageUnknown, errors.Join(errors.New("x"), storage.ErrLayerUnknown)}); err != nil {
		t.Error(err)
	}
	if err := remaining([]error{errors.New("disk"), storage.ErrImageUnknown}); err == nil || err.Error() != "disk" {
		t.Error(err)
	}
}

// brokenStore cannot remove anything.
type brokenStore struct{ storage.Store }

var errBroken = errors.New("broken for good")

func (brokenStore) DeleteImage(string, bool) ([]string, error) { return nil, errBroken }

// TestRemoveAllEnds where removals fail for good.
func TestRemoveAllEnds(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	w.pull("app:1")
	w.Images = New(brokenStore{w.store}, "")
	ended := make(chan error, 1)
	go func() {
		_, err := w.RemoveAll(t.Context(), RemoveOptions{})
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, errBroken) {
			t.Errorf("%v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it goes round for ever")
	}
}

// TestKilledLoad: while an archive is loaded, no prune takes its layers, and when that is killed the
// next prune does.
func TestKilledLoad(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one(), map[string][]byte{"more": random(1, 100_000)})
	app := w.pull("app:1")
	archive := w.dir + "/app.tar"
	if err := w.Save(t.Context(), []string{app.ID}, "docker-archive", archive, SendOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Remove(t.Context(), app.ID, RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.layers(0)
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	library, err := w.runtime()
	if err != nil {
		t.Fatal(err)
	}
	err = w.storing(t.Context(), libimage.CopyOptions{}, func(o libimage.CopyOptions) error {
		if _, err := w.load(t.Context(), library, archive, &libimage.LoadOptions{CopyOptions: o}); err != nil {
			return err
		}
		// As it is before there is an image: the layer above keeps its layers from going with it.
		stored, err := w.store.Image(app.ID)
		if err != nil {
			return err
		}
		above, err := w.store.CreateLayer("", stored.TopLayer, nil, "", false, nil)
		if err != nil {
			return err
		}
		if _, err := w.store.DeleteImage(app.ID, true); err != nil {
			return err
		}
		if err := w.store.DeleteLayer(above.ID); err != nil {
			return err
		}
		if _, _, err := w.Prune(t.Context(), false, nil); err != nil {
			return err
		}
		w.layers(2)
		return errKilled
	})
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if _, _, err := w.Prune(t.Context(), false, nil); err != nil {
		t.Error(err)
	}
	w.layers(0)
	if left := append(w.files(), w.notes()...); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

var errKilled = errors.New("killed")

// removing is a storage from which somebody else removes images right after they were listed.
type removing struct {
	storage.Store
	ids []string
}

func (s *removing) MultiList(o storage.MultiListOptions) (storage.MultiListResult, error) {
	list, err := s.Store.MultiList(o)
	if err == nil && len(s.ids) > 0 {
		_, err = s.DeleteImage(s.ids[0], true)
		s.ids = s.ids[1:]
	}
	return list, err
}

// TestDiskUsageBesideARemoval: who removes images meanwhile is no error of who counts what they take.
func TestDiskUsageBesideARemoval(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"app:1", "app:2", "app:3"} {
		w.registry.push(t, name, "", v1.ImageConfig{}, map[string][]byte{"name": []byte(name)})
	}
	s := &removing{Store: w.store, ids: []string{w.pull("app:1").ID, w.pull("app:2").ID}}
	last := w.pull("app:3").ID
	all, _, err := New(s, "").DiskUsage(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != last || len(s.ids) != 0 {
		t.Errorf("%+v, %v; not removed: %q", all, err, s.ids)
	}
}
