// SPDX-License-Identifier: Apache-2.0

package view

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/storage"
)

// Written is how much a container has written over its image, in bytes. The layer of a container of
// podunit has the ID of the container. Gone knows the error of a layer that is not there.
func Written(x *service.Engine, layerID string) (int64, error) {
	s := x.Containers.Store
	if s.GraphDriverName() != "overlay" {
		return s.DiffSize("", layerID)
	}
	return safe.Size(filepath.Join(s.GraphRoot(), "overlay", layerID, "diff"))
}

// Gone is whether an error of Written says that the container went meanwhile.
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, storage.ErrLayerUnknown)
}

// sizesOf are the sizes of a container. images are those of images that are known already.
func sizesOf(x *service.Engine, layerID, imageID string, images map[string]int64) (Sizes, error) {
	own, err := Written(x, layerID)
	if err != nil {
		return Sizes{}, err
	}
	below, known := images[imageID]
	if !known && imageID != "" {
		if below, err = x.Containers.Store.ImageSize(imageID); err != nil {
			return Sizes{}, err
		}
		images[imageID] = below
	}
	return Sizes{RootFs: below + own, Rw: own}, nil
}

// AddSizes finds the sizes of containers, and leaves out those that went meanwhile.
func AddSizes(x *service.Engine, rows []ContainerRow) ([]ContainerRow, error) {
	images := map[string]int64{}
	var there []ContainerRow
	for _, r := range rows {
		s, err := sizesOf(x, r.layer, r.record.ImageID, images)
		if Gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r.Sizes = &s
		there = append(there, r)
	}
	return there, nil
}

// AddSize tells how many bytes the container takes.
func (in *Container) AddSize(x *service.Engine) error {
	s, err := sizesOf(x, in.ID, in.Image, map[string]int64{})
	if err != nil {
		return err
	}
	in.SizeRw, in.SizeRootFs = &s.Rw, s.RootFs
	return nil
}
