// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/secrets/passdriver"
	"go.podman.io/common/pkg/secrets/shelldriver"
	"go.podman.io/storage/pkg/lockfile"
)

// A driver keeps values by ID.
type driver interface {
	Lookup(id string) ([]byte, error)
	Store(id string, value []byte) error
	Delete(id string) error
}

func (s Store) driver(one Secret) (driver, error) {
	switch one.Driver {
	case "file":
		dir := one.DriverOptions["path"]
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("driver file needs an absolute path: path=%q", dir)
		}
		return fileDriver{dir}, nil
	case "pass":
		return passdriver.NewDriver(one.DriverOptions)
	case "shell":
		return shelldriver.NewDriver(one.DriverOptions)
	}
	return nil, fmt.Errorf("driver %q: %w", one.Driver, ErrDriver)
}

// fileDriver keeps values in one file, in base64 and not encrypted.
type fileDriver struct{ dir string }

func (d fileDriver) Lookup(id string) (value []byte, err error) {
	err = d.change(func(values map[string][]byte) (bool, error) {
		var ok bool
		if value, ok = values[id]; !ok {
			return false, fmt.Errorf("%s: %w", id, ErrNotFound)
		}
		return false, nil
	})
	return value, err
}

func (d fileDriver) Store(id string, value []byte) error {
	return d.change(func(values map[string][]byte) (bool, error) {
		values[id] = value
		return true, nil
	})
}

func (d fileDriver) Delete(id string) error {
	return d.change(func(values map[string][]byte) (bool, error) {
		if _, ok := values[id]; !ok {
			return false, fmt.Errorf("%s: %w", id, ErrNotFound)
		}
		delete(values, id)
		return true, nil
	})
}

// change does something with the values under their lock, and writes them if it has changed any.
func (d fileDriver) change(do func(map[string][]byte) (bool, error)) error {
	return withLock(d.dir, dataLock, func() error {
		path, values := filepath.Join(d.dir, dataName), map[string][]byte{}
		if err := readJSON(path, &values); err != nil {
			return err
		}
		changed, err := do(values)
		if err != nil || !changed {
			return err
		}
		return replaceJSON(path, values)
	})
}

// withLock holds the lock that podman takes, too. The directory is made, for nobody else.
func withLock(dir, name string, do func() error) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := lockfile.GetLockFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	return do()
}

// TornError says that a file of the store cannot be read: something wrote half of it.
type TornError struct {
	Path string
	Err  error
}

func (e *TornError) Error() string { return fmt.Sprintf("%s: %v", e.Path, e.Err) }
func (e *TornError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e *TornError) Hint() string {
	return "put a copy of it back; without one, move the directory " + filepath.Dir(e.Path) + " away and create the secrets again"
}

// readJSON reads a file; one that is not there leaves v as it is.
func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &TornError{path, err}
	}
	return nil
}

// replaceJSON replaces a file in one step that a power cut cannot divide. The caller holds its lock.
func replaceJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return safe.Write(path, b, 0o600)
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
