// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package image

import (
	"fmt"
	"sync"

	"go.podman.io/common/libimage"
	"go.podman.io/storage"
)

// ecosystem is the ecosystem's own management of images.
type ecosystem struct {
	runtime func() (*libimage.Runtime, error)
}

func newEcosystem(im *Images) ecosystem {
	return ecosystem{runtime: sync.OnceValues(func() (*libimage.Runtime, error) {
		// What is set here is only where libimage puts archives while it reads them.
		dir, err := bigFiles(im.store)
		if err != nil {
			return nil, err
		}
		sys := im.base
		sys.BigFilesTemporaryDir = dir
		return libimage.RuntimeFromStore(im.store, &libimage.RuntimeOptions{SystemContext: &sys})
	})}
}

// findOther finds what is left for the ecosystem to find: a repository without its registry.
func (im *Images) findOther(name string) (*storage.Image, string, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, "", err
	}
	image, found, err := runtime.LookupImage(name, nil)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, unknown(err))
	}
	return image.StorageImage(), found, nil
}

// instance chooses this machine's image of a manifest list.
func (im *Images) instance(stored *storage.Image, name string) (*Image, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	image, _, err := runtime.LookupImage(stored.ID, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, unknown(err))
	}
	if image.ID() == stored.ID {
		return nil, fmt.Errorf("%s is a manifest list without an image for this machine", name)
	}
	return im.load(image.StorageImage(), name)
}
