// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/image/download"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// durable is a storage whose images outlive a power cut. The library syncs its lists and nothing
// that they list: after a cut there may be an image whose layers have files without content. So the
// disk has everything before the list names an image, once for all of its layers. Layers that no
// image names are not trusted in the next boot: see beginBoot.
type durable struct {
	storage.Store
	sync func(dir string) error
}

// CreateImage waits until the layers are on the disk.
func (d durable) CreateImage(id string, names []string, layer, metadata string, o *storage.ImageOptions) (*storage.Image, error) {
	if layer != "" { // a list of manifests has none
		for _, dir := range []string{d.GraphRoot(), d.ImageStore()} {
			if dir == "" {
				continue
			}
			if err := d.sync(dir); err != nil {
				return nil, fmt.Errorf("write the layers of image %.12s to the disk of %s: %w", id, dir, err)
			}
		}
	}
	return d.Store.CreateImage(id, names, layer, metadata, o)
}

// syncDisk has the file system of a directory on the disk.
func syncDisk(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// beginBoot removes layers of pulls that ended with an earlier boot: the power may have failed, and
// the storage lists a layer as complete before its files are on the disk. The first who stores an
// image does it, before it begins. A runtime directory is of one boot.
func (im *Images) beginBoot(ctx context.Context) {
	if im.runDir == "" {
		return
	}
	done := filepath.Join(im.runDir, "podunit", "storage-layers")
	if _, err := os.Lstat(done); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if _, err := im.collect(ctx, 0, forever); err != nil {
		return // the next one tries again
	}
	if err := os.MkdirAll(filepath.Dir(done), 0o700); err == nil {
		_ = safe.Replace(done, nil, 0o600) // without it the next one looks, too
	}
}

// collectOld removes what pulls left that nobody has gone on with, or must not.
func (im *Images) collectOld(ctx context.Context) {
	im.beginBoot(ctx)
	own, err := download.Open(im.store)
	if err != nil {
		return // the pull will tell
	}
	defer own.Close()
	if download.Overdue(own) {
		_, _ = im.collect(ctx, download.KeepFor, forever) // the next pull tries again
	}
}
