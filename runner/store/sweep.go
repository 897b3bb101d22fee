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

// Sweep removes the lists of layers, their mounts, containers and images that somebody was writing
// when he was killed. Who holds the lock of a list writes it, and nobody else.
func Sweep(s storage.Store) error {
	driver := s.GraphDriverName()
	var errs []error
	for _, lock := range []string{
		filepath.Join(s.GraphRoot(), driver+"-layers", "layers.lock"),
		filepath.Join(s.GraphRoot(), driver+"-containers", "containers.lock"),
		filepath.Join(s.GraphRoot(), driver+"-images", "images.lock"),
		filepath.Join(s.RunRoot(), driver+"-layers", "mountpoints.lock"),
	} {
		errs = append(errs, sweep(lock))
	}
	return errors.Join(errs...)
}

// sweep removes what was half-written in the directory of a lock.
func sweep(path string) error {
	left, err := leftIn(filepath.Dir(path))
	if err != nil || len(left) == 0 {
		return err
	}
	lock, err := lockfile.GetLockFile(path)
	if err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	left, err = leftIn(filepath.Dir(path)) // whose writer was alive is gone now
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
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
