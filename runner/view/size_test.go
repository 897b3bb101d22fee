// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/storage"
)

// layers is a storage that holds layers of containers, and one image of 100 bytes.
type layers struct {
	storage.Store
	root       string
	containers []storage.Container
}

func (l layers) GraphRoot() string                        { return l.root }
func (layers) GraphDriverName() string                    { return "overlay" }
func (l layers) Containers() ([]storage.Container, error) { return l.containers, nil }
func (layers) Image(string) (*storage.Image, error)       { return nil, storage.ErrImageUnknown }
func (layers) ImageSize(id string) (int64, error) {
	if id == "broken" {
		return 0, errors.New("it cannot be read")
	}
	return 100, nil
}

// TestSizesOfContainers: the layer of a container of buildah has another ID than the container. One
// that goes while we look is left out; the others are told.
func TestSizesOfContainers(t *testing.T) {
	l := layers{root: t.TempDir(), containers: []storage.Container{
		{ID: "theirs", LayerID: "layer", ImageID: "image", Metadata: "buildah"}, {ID: "gone", LayerID: "gone", ImageID: "image"},
	}}
	for layer, text := range map[string]string{"layer": "four", "own": "seven b"} {
		diff := filepath.Join(l.root, "overlay", layer, "diff")
		if err := errors.Join(os.MkdirAll(diff, 0o700), os.WriteFile(filepath.Join(diff, "file"), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	x := &service.Engine{Containers: &container.Engine{Store: l}}
	rows, err := External(x, true)
	if err != nil {
		t.Fatal(err)
	}
	rows, err = AddSizes(x, rows)
	if err != nil || len(rows) != 1 || rows[0].IDFull != "theirs" || *rows[0].Sizes != (Sizes{RootFs: 104, Rw: 4}) {
		t.Errorf("%+v, %v", rows, err)
	}
	if _, err := AddSizes(x, []ContainerRow{{layer: "own", record: container.Record{ImageID: "broken"}}}); err == nil {
		t.Error("an image whose size cannot be read is no error")
	}
	own := Container{ID: "own", Image: "image"}
	if err := own.AddSize(x); err != nil || *own.SizeRw != 7 || own.SizeRootFs != 107 {
		t.Errorf("inspect: %v, %v", own.SizeRootFs, err)
	}
	gone := Container{ID: "gone"}
	if err := gone.AddSize(x); !Gone(err) {
		t.Errorf("inspect of one that is gone: %v", err)
	}
}
