// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/volume"
	"go.podman.io/storage"
)

// empty is a storage without containers.
type empty struct {
	storage.Store
	root string
}

func (e empty) GraphRoot() string                          { return e.root }
func (empty) Containers() ([]storage.Container, error)     { return nil, nil }
func (empty) Container(string) (*storage.Container, error) { return nil, storage.ErrContainerUnknown }
func (empty) ContainerDirectory(string) (string, error)    { return "", storage.ErrContainerUnknown }

// TestRemoveTakesAnonymousVolumes also of a container that its unit has removed meanwhile,
// without them.
func TestRemoveTakesAnonymousVolumes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an owner can be given by root only")
	}
	root := t.TempDir()
	volumes := volume.New(root)
	e := &Engine{Containers: &container.Engine{RunDir: t.TempDir(), Store: empty{root: root}, Volumes: volumes}}
	e.Connect = func(context.Context) (Manager, error) { return nil, errors.New("no manager") }
	made, err := volumes.Create(container.NewID(), volume.Options{Anonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	r := container.Record{ID: container.NewID(), Name: "web", AnonymousVolumes: []string{made.Name}}
	if err := e.Remove(t.Context(), r, Removal{Force: true}); err != nil {
		t.Error(err)
	}
	if _, err := volumes.Get(made.Name); err != nil {
		t.Errorf("nobody asked for that: %v", err)
	}
	if err := e.Remove(t.Context(), r, Removal{Force: true, Volumes: true}); err != nil {
		t.Error(err)
	}
	if _, err := volumes.Get(made.Name); !errors.Is(err, volume.ErrNotFound) {
		t.Errorf("it is left: %v", err)
	}
}
