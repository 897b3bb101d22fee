// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
)

// collect removes layers that nobody stands on: those that our own pulls and removals have
// noted before age, and others that were made before foreign.
func (im *Images) collect(ctx context.Context, age, foreign time.Duration) (freed int64, err error) {
	own, err := download.Open(im.store)
	if err != nil {
		return 0, err
	}
	defer own.Close()
	err = download.Alone(ctx, own, func() error {
		layers, files := download.Noted(im.store, own, age)
		var err error
		if freed, err = im.dropOrphans(foreign, layers); err != nil {
			return err
		}
		for _, name := range files {
			if err := own.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, download.ErrPulling) {
		return im.dropOrphans(foreign, nil)
	}
	return freed, err
}

// making calls do, which stores the layers and data of images, and notes their layers meanwhile: no
// prune takes them, and when this process is killed the next prune does.
func (im *Images) making(ctx context.Context, do func(own *os.Root, note *download.Note) error) error {
	im.beginBoot(ctx)
	work, err := download.NewDir(ctx, im.store)
	if err != nil {
		return err
	}
	defer work.Close(nil)
	own, err := download.Open(im.store)
	if err != nil {
		return err
	}
	defer own.Close()
	defer marking(im.store, own)()
	n := download.Begin(own)
	err = do(own, n)
	n.Close(err != nil)
	return err
}

// storing is making for a do that has the library store images, with the library's options for that.
func (im *Images) storing(ctx context.Context, o libimage.CopyOptions, do func(libimage.CopyOptions) error) error {
	return im.making(ctx, func(_ *os.Root, n *download.Note) error {
		o.Progress = make(chan types.ProgressProperties)
		noted := make(chan struct{})
		go func() {
			defer close(noted)
			for e := range o.Progress {
				if e.Event == types.ProgressEventNewArtifact {
					n.Add(e.Artifact.Digest.String())
				}
			}
		}()
		err := do(o)
		close(o.Progress)
		<-noted
		return err
	})
}

// marking marks that an image is being stored, until done is called. What others were storing who
// were killed is whole by then, or is mended.
func marking(store storage.Store, own *os.Root) (done func()) {
	shared, dead, err := download.Share(own)
	if err != nil {
		return func() {} // on a full disk no image is stored either
	}
	unmark := download.Mark(own)
	return func() {
		unmark()
		if len(dead) > 0 {
			mend(store, own, dead)
		}
		shared.Close()
	}
}

const forever = time.Duration(1<<63 - 1)

// noting notes the layers of images while do removes some of them, so that a prune finds
// them when this process is killed.
func (im *Images) noting(images []storage.Image, do func()) {
	var n *download.Note
	if own, err := download.Open(im.store); err == nil {
		defer own.Close()
		n = download.Begin(own)
	}
	seen := make(map[string]bool)
	for _, i := range images {
		for _, id := range append([]string{i.TopLayer}, i.MappedTopLayers...) {
			for id != "" && !seen[id] {
				seen[id] = true
				n.Add(id)
				l, err := im.store.Layer(id)
				if err != nil {
					break
				}
				id = l.Parent
			}
		}
	}
	do()
	n.Close(false)
}
