// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/lockfile"
	"go.podman.io/storage/pkg/stringid"
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
		errs = append(errs, sweep(lock, leftIn))
	}
	return errors.Join(errs...)
}

// SweepImages removes the data of images that are in no list any more, as their removal was killed,
// and what was half-written in the data of others.
func SweepImages(s storage.Store) error {
	return sweep(filepath.Join(s.GraphRoot(), s.GraphDriverName()+"-images", "images.lock"), lostIn)
}

// sweep removes what leftIn finds in the directory of a lock.
func sweep(path string, leftIn func(dir string) ([]string, error)) error {
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
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// lostIn lists the directories of images that the list in dir does not have, and the temporary files
// in the directories of the others. The storage notes an image before it makes its directory, and
// removes it from the list before the directory. Source: go.podman.io/storage, images.go.
func lostIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "images.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // without a list, nothing tells what is lost
	}
	var images []struct {
		ID string `json:"id"`
	}
	if err == nil {
		err = json.Unmarshal(text, &images)
	}
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	for _, i := range images {
		known[i.ID] = true
	}
	var left []string
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() || stringid.ValidateID(e.Name()) != nil {
			continue
		}
		if !known[e.Name()] {
			left = append(left, path)
			continue
		}
		files, err := leftIn(path)
		if err != nil {
			return nil, err
		}
		left = append(left, files...)
	}
	return left, nil
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
