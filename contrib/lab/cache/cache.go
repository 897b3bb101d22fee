// SPDX-License-Identifier: Apache-2.0

// Package cache keeps what is dear to make (root filesystems, images) outside the source tree, one
// directory a key.
package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Dir is the root of the cache: $PODUNIT_LAB_CACHE, else podunit-lab in $XDG_CACHE_HOME or ~/.cache.
type Dir string

// Open finds the cache directory and makes it if needed.
func Open() (Dir, error) {
	dir := os.Getenv("PODUNIT_LAB_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache: %w; set XDG_CACHE_HOME", err)
		}
		dir = filepath.Join(base, "podunit-lab")
	}
	// Everybody in the lab walks through it as their own user.
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return Dir(dir), nil
}

// Path is where key lies or would lie.
func (d Dir) Path(key string) string { return filepath.Join(string(d), key) }

// Lock takes the named lock of the cache, waiting for whoever has it. It is gone with the process
// at the latest.
func (d Dir) Lock(name string) (release func(), err error) {
	f, err := os.OpenFile(d.Path(name+".lock"), os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// Make returns the directory of key, calling fill to make it when there is none. A fill that fails,
// or is killed, leaves nothing under the key: the directory gets its name last. Older keys of the
// same kind (the part before the last dash) that no lab uses any more are Prune's.
func (d Dir) Make(key string, fill func(dir string) error) (string, error) {
	path := d.Path(key)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	release, err := d.Lock(kind(key))
	if err != nil {
		return "", err
	}
	defer release()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	tmp := path + ".part"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return "", err
	}
	if err := fill(tmp); err != nil {
		return "", errors.Join(err, os.RemoveAll(tmp))
	}
	return path, os.Rename(tmp, path)
}

// Prune removes the keys of key's kind other than key and those in used.
func (d Dir) Prune(key string, used map[string]bool) error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	var all []error
	for _, e := range entries {
		if e.IsDir() && kind(e.Name()) == kind(key) && e.Name() != key && !used[d.Path(e.Name())] {
			if err := os.RemoveAll(d.Path(e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				all = append(all, err)
			}
		}
	}
	return errors.Join(all...)
}

func kind(key string) string {
	key = strings.TrimSuffix(key, ".part")
	if i := strings.LastIndexByte(key, '-'); i > 0 {
		return key[:i]
	}
	return key
}
