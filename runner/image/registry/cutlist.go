// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/storage"
)

// What belongs to a list of manifests, beside its manifest. Source:
// go.podman.io/common/libimage/manifests.
const instancesData = "instances.json"

// beingMade is how long an image without a layer and data is left alone: Podman 4.3 notes an image
// and its data in two calls, between which the storage is not locked.
const beingMade = 10 * time.Second

// mend makes good what runners that were killed have left of images that they were making. Then it
// removes the marks of those runners.
func mend(store storage.Store, own *os.Root, dead []string) {
	now, young := time.Now(), beingMade
	if len(dead) > 0 {
		young = 0
	}
	if errors.Join(mendLists(store, now, young), dropHalves(store, own, now, young)) == nil {
		for _, name := range dead {
			_ = own.Remove(name)
		}
	}
}

// dropHalves removes images whose making was killed before all of their data was there: they have
// layers, no name and no manifest. With such an image in it, the library can list no images at all.
// podunit locks the storage while it makes an image; Podman 4.3 does not, so nothing is removed while
// the storage's list of images is younger than young. (An image's own time is that of its build.)
// The layers of a half image go with it, and a pull may be about to use them: while one is under way,
// all stays: see download.ErrPulling.
func dropHalves(store storage.Store, own *os.Root, now time.Time, young time.Duration) error {
	list, err := os.Stat(filepath.Join(store.GraphRoot(), store.GraphDriverName()+"-images", "images.json"))
	if err != nil {
		return nil //nolint:nilerr // there is no image yet
	}
	if age := now.Sub(list.ModTime()); age >= 0 && age < young {
		return nil
	}
	found, err := halves(store)
	if err != nil || len(found) == 0 {
		return err // without any, nobody waits for the lock of pulls
	}
	return download.Alone(context.Background(), own, func() error {
		found, err := halves(store) // a pull may have ended meanwhile, and completed one
		if err != nil {
			return err
		}
		for _, id := range found {
			if _, err := store.DeleteImage(id, true); err != nil && !errors.Is(err, storage.ErrImageUnknown) {
				return err
			}
		}
		return nil
	})
}

// halves are the IDs of images that have layers, no name and no manifest.
func halves(store storage.Store) (ids []string, err error) {
	images, err := store.Images()
	if err != nil {
		return nil, err
	}
	for _, img := range images {
		if !img.ReadOnly && img.TopLayer != "" && len(img.Names) == 0 && !slices.Contains(img.BigDataNames, storage.ImageDigestBigDataKey) {
			ids = append(ids, img.ID)
		}
	}
	return ids, nil
}

// mendLists makes good what is left of a list of manifests whose creation was killed: the storage
// notes the image first, and its parts one by one. With such an image in it, the library can list
// no images at all. Who makes a list keeps the storage locked, so that nobody takes it for one of
// these. Podman 4.3 does not, so a list that is younger than young is left alone, unless it is known
// that a podunit was killed while it made one: then young is 0.
func mendLists(store storage.Store, now time.Time, young time.Duration) error {
	images, err := store.Images()
	if err != nil {
		return err
	}
	for _, img := range images {
		if img.ReadOnly || img.TopLayer != "" {
			continue
		}
		hasManifest := slices.ContainsFunc(img.BigDataNames, func(key string) bool {
			return strings.HasPrefix(key, storage.ImageDigestManifestBigDataNamePrefix)
		})
		switch {
		case len(img.BigDataNames) == 0: // it has no layer either: there is nothing of it
			if age := now.Sub(img.Created); age >= 0 && age < young {
				continue
			}
			_, err = store.DeleteImage(img.ID, true)
		case hasManifest && len(img.BigDataNames) == 1: // of an image, a configuration is there, too
			err = store.SetImageBigData(img.ID, instancesData, []byte("{}"), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
