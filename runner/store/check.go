// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"regexp"
	"slices"
	"sync"

	"go.podman.io/storage"
)

// onlyTime is how the library tells of a file of which nothing but the time of its change is
// another than in the layer's archive. Source: compareFileInfo in check.go of go.podman.io/storage.
// It is compiled when it is needed: each start of a service loads this package.
var onlyTime = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\(mtime:[^,()]*\), [^()]*$`) })

// Check looks for damaged layers, images and containers, as the library does, and leaves out times:
// a directory that a layer's archive does not have itself, since it is of the layer below, gets the
// time of its pull, and so do some in the copy of a layer that is made for other user IDs. What is
// in the files is compared by their sizes, and by the digest of the layer.
func Check(s storage.Store, o *storage.CheckOptions) (storage.CheckReport, error) {
	r, err := s.Check(o)
	for _, all := range []map[string][]error{r.Layers, r.ROLayers, r.Images, r.ROImages, r.Containers} {
		dropTimes(all)
	}
	return r, err
}

// dropTimes leaves out what is no damage, and who has no damage then.
func dropTimes(all map[string][]error) {
	for id, errs := range all {
		left := slices.DeleteFunc(errs, func(err error) bool {
			return errors.Is(err, storage.ErrLayerContentModified) && onlyTime().MatchString(err.Error())
		})
		if all[id] = left; len(left) == 0 {
			delete(all, id)
		}
	}
}
