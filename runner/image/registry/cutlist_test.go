// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/common/libimage/manifests"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/storage"
)

// TestListsThatWereCut: where the creation of a list of manifests was killed, images are listed, and
// the list can be made.
func TestListsThatWereCut(t *testing.T) {
	whole, cut := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for _, parts := range []int{0, 1, 2, 3} {
		im := newWorld(t)
		if _, err := manifests.Create().SaveToImage(im.store, whole, nil, manifest.DockerV2ListMediaType); err != nil {
			t.Fatal(err)
		}
		if _, err := im.store.CreateImage(cut, []string{"localhost/list:1"}, "", "", &storage.ImageOptions{CreationDate: time.Now().Add(-beingMade)}); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{storage.ImageDigestManifestBigDataNamePrefix, instancesData, "artifacts.json"}[:parts] {
			data, err := im.store.ImageBigData(whole, key)
			if err == nil {
				err = im.store.SetImageBigData(cut, key, data, manifest.Digest)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		images, err := im.List(context.Background(), nil)
		if err != nil {
			t.Errorf("with %d parts: %v", parts, err)
			continue
		}
		named := slices.ContainsFunc(images, func(s Summary) bool { return slices.Contains(s.Names, "localhost/list:1") })
		if named != (parts > 0) {
			t.Errorf("with %d parts: %v", parts, images)
		}
		if _, err := im.list("list:1"); (err == nil) != named {
			t.Errorf("with %d parts, the list: %v", parts, err)
		}
		if named {
			continue
		}
		if _, err := im.CreateList("list:1"); err != nil {
			t.Errorf("made again: %v", err)
		}
	}
}

// TestListsThatAreBeingMade: an image of another program that has no data yet stays.
func TestListsThatAreBeingMade(t *testing.T) {
	im := newWorld(t)
	young, err := im.store.CreateImage("", []string{"localhost/list:1"}, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := mendLists(im.store, young.Created.Add(beingMade-1), beingMade); err != nil {
		t.Fatal(err)
	}
	if _, err := im.store.Image(young.ID); err != nil {
		t.Errorf("it is gone: %v", err)
	}
}

// TestListOfAKilledMaker: where one of us was killed that was making a list, nobody waits for what
// is left of it.
func TestListOfAKilledMaker(t *testing.T) {
	im := newWorld(t)
	young, err := im.store.CreateImage("", []string{"localhost/list:1"}, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(im.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	shared, _, err := download.Share(own)
	if err != nil {
		t.Fatal(err)
	}
	download.Mark(own)
	shared.Close()
	if _, err := im.List(context.Background(), nil); err != nil {
		t.Errorf("listing images: %v", err)
	}
	if _, err := im.store.Image(young.ID); err == nil {
		t.Error("it is there")
	}
	im.shared.Close()
	if _, made, err := download.Share(own); err != nil || len(made) > 0 {
		t.Errorf("the mark is there: %q, %v", made, err)
	}
}

// TestHalfImages: where the making of an image was killed, what is there of it goes, unless it may be
// being made, and images are counted again.
func TestHalfImages(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	app := w.pull("app:1")
	config := "sha256:" + app.ID
	blob, err := w.store.ImageBigData(app.ID, config)
	if err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	half := strings.Repeat("c", 64)
	for _, keys := range [][]storage.ImageBigDataOption{nil, {{Key: config, Data: blob, Digest: digest.Digest(config)}}} {
		if _, err := w.store.CreateImage(half, nil, app.TopLayer, "", &storage.ImageOptions{BigData: keys}); err != nil {
			t.Fatal(err)
		}
		if err := dropHalves(w.store, own, time.Now(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Image(half); err != nil {
			t.Errorf("one that may be being made: %v", err)
		}
		if err := dropHalves(w.store, own, time.Now(), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Image(half); !errors.Is(err, storage.ErrImageUnknown) {
			t.Errorf("with %d parts it is there: %v", len(keys), err)
		}
		if _, _, err := w.DiskUsage(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := w.Lookup(t.Context(), app.ID); err != nil {
		t.Errorf("the whole one: %v", err)
	}
}

// TestHalfImageBesideAPull: the layers of a half image are not taken from a pull that is under way,
// whoever lists images; the mark of the killed one stays for whoever lists them after that pull.
func TestHalfImageBesideAPull(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	app := w.pull("app:1")
	half := strings.Repeat("c", 64)
	if _, err := w.store.CreateImage(half, nil, app.TopLayer, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.DeleteImage(app.ID, true); err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	list := func() {
		if w.shared != nil {
			w.shared.Close()
		}
		next := New(w.store, "")
		next.base = w.base
		if _, err := next.runtime(); err != nil {
			t.Fatal(err)
		}
		next.shared.Close()
	}
	layer := func() error {
		_, err := w.store.Layer(app.TopLayer)
		return err
	}
	pull, err := download.NewDir(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	download.Mark(own) // of one that is killed
	list()
	if err := layer(); err != nil {
		t.Errorf("the pull has lost a layer: %v", err)
	}
	pull.Close(nil)
	list()
	if err := layer(); !errors.Is(err, storage.ErrLayerUnknown) {
		t.Errorf("after the pull the layer is there: %v", err)
	}
	if _, err := w.store.Image(half); !errors.Is(err, storage.ErrImageUnknown) {
		t.Errorf("after the pull the half is there: %v", err)
	}
}

// TestHalfImageOfAKilledLoad: the mark that a killed load or pull leaves tells the next one that
// nobody is making the half that is there.
func TestHalfImageOfAKilledLoad(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	app := w.pull("app:1")
	if _, err := w.store.CreateImage(strings.Repeat("c", 64), nil, app.TopLayer, "", nil); err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if err := own.Mkdir("blobs", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	download.Mark(own) // and is killed
	if w.shared != nil {
		w.shared.Close()
	}
	next := New(w.store, "")
	next.base = w.base
	images, err := next.List(t.Context(), nil)
	if err != nil || len(images) != 1 {
		t.Errorf("%d images, %v", len(images), err)
	}
}

// TestPullAfterAKilledOne: the mark of a killed pull is no longer there when the next pull has made
// the image whole.
func TestPullAfterAKilledOne(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	w.pull("app:1")
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	download.Mark(own) // and is killed
	if w.shared != nil {
		w.shared.Close()
	}
	w.pull("app:1")
	shared, dead, err := download.Share(own)
	if err != nil || len(dead) > 0 {
		t.Errorf("marks %q, %v", dead, err)
	}
	shared.Close()
}
