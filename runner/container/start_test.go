// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/runc"
	"go.podman.io/storage"
)

// nowhere is a storage in which there is nothing.
type nowhere struct {
	storage.Store
	root string
}

func (n nowhere) GraphRoot() string { return n.root }

func (nowhere) GraphDriverName() string { return "overlay" }

func (nowhere) Container(string) (*storage.Container, error) { return nil, storage.ErrContainerUnknown }

func (nowhere) DeleteLayer(string) error { return storage.ErrLayerUnknown }

// TestANetworkThatTakesLong is that of a container in the making: nobody sweeps it away.
func TestANetworkThatTakesLong(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	r := Record{ID: NewID(), Name: "web"}
	refused := errors.New("no network")
	begun := false
	_, err := e.Start(context.Background(), Launch{
		Record: &r, New: true, Foreground: &runc.Streams{},
		Network: func(ctx context.Context) (Network, error) {
			begun = true
			if _, err := os.Stat(e.marker(r.ID)); err != nil {
				t.Errorf("killed now, it would leave what nobody knows of: %v", err)
			}
			if err := e.SweepOrphans(ctx); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(e.Dir(r.ID)); err != nil {
				t.Errorf("it has no directory: %v", err)
			}
			return nil, refused
		},
	})
	if !begun || !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	for _, path := range []string{e.marker(r.ID), e.Dir(r.ID), e.namePath(r.Name), e.lockPath(r.ID)} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// TestSweepOrphans removes what a killed start has left, whatever its age.
func TestSweepOrphans(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	r := Record{ID: NewID(), Name: "web"}
	if err := e.mark(&r); err != nil {
		t.Fatal(err)
	}
	if err := e.SweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{e.marker(r.ID), e.Dir(r.ID), filepath.Join(e.RunDir, "lock", r.ID)} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}
