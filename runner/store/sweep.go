// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/lockfile"
)

// temporary is how the names of files begin that are to take the place of another.
// Source: go.podman.io/storage/pkg/ioutils, NewAtomicFileWriter.
const temporary = ".tmp-"

// Sweep removes the lists of layers, containers and images that somebody was writing when
// he was killed. Who holds the lock of a list writes it, and nobody else.
func Sweep(s storage.Store) error {
	var errs []error
	for _, kind := range []string{"layers", "containers", "images"} {
		dir := filepath.Join(s.GraphRoot(), s.GraphDriverName()+"-"+kind)
		if left, err := leftIn(dir); err != nil || len(left) == 0 {
			errs = append(errs, err)
			continue
		}
		lock, err := lockfile.GetLockFile(filepath.Join(dir, kind+".lock"))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lock.Lock()
		left, err := leftIn(dir) // whose writer was alive is gone now
		errs = append(errs, err)
		for _, path := range left {
			errs = append(errs, os.Remove(path))
		}
		lock.Unlock()
	}
	return errors.Join(errs...)
}

// leftIn lists the temporary files in a directory.
func leftIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var left []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) && e.Type().IsRegular() {
			left = append(left, filepath.Join(dir, e.Name()))
		}
	}
	return left, nil
}
