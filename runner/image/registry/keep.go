// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"slices"

	"github.com/podunit/podunit/runner/image"
	"go.podman.io/storage"
)

// keptName is the beginning of the name by which an image is kept for a rollback: a name keeps it
// from every tool's prune of images that have none.
const keptName = "localhost/podunit-kept:"

// Keep gives an image a name of ours, so that it outlives the move of its own name to another one.
func (im *Images) Keep(id string) error {
	return im.Tag(id, keptName+image.Short(id))
}

// Drop takes that name away again, and the image with it if it has no other and nothing stands on
// it. An image that is gone is no error.
func (im *Images) Drop(id string) error {
	stored, err := im.store.Image(id)
	if errors.Is(err, storage.ErrImageUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	if name := keptName + image.Short(id); slices.Contains(stored.Names, name) {
		if err := im.Untag(id, name); err != nil {
			return err
		}
	}
	if stored, err = im.store.Image(id); err != nil || len(stored.Names) > 0 {
		return err
	}
	users, err := im.InUse(id)
	if err != nil || len(users) > 0 {
		return err
	}
	_, err = im.store.DeleteImage(id, true)
	return err
}
