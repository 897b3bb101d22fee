// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/safe"

	"go.podman.io/storage"
	"go.podman.io/storage/pkg/lockfile"
	"golang.org/x/sys/unix"
)

// The overlay driver gives each layer a short name: a link in its directory l, which points to the
// layer, and a file "link" in the layer's directory, which has the name. When it removes a layer it
// removes l/NAME. If that file is empty, because its writer was killed or the power failed just
// then, it removes l itself, with the short names of all layers. What Podman 5 has pulled knows the
// layers below another by these names alone, and containers on it do not start any more: Podman
// makes lost names again, and the library that we use does not.

// linkDir is the driver's directory of short names, and linkFile a layer's file with its own.
// Source: go.podman.io/storage/drivers/overlay.
const (
	linkDir  = "l"
	linkFile = "link"
)

// isShortName tells whether it is such a name. A power cut may leave zeros in its place.
func isShortName(name string) bool {
	return len(name) >= 4 && len(name) <= 64 && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// linkWait is how long keepLinks waits for the lock of the layers, which readers hold for a moment.
const linkWait = 20 * time.Millisecond

// keepLinks mends the short names of layers before the library opens the storage, for the library
// removes layers that a killed process has begun. It looks at all layers once a boot, when l is
// another directory than the one it knows, and when the lists have a layer that was begun. Where it
// cannot mend, the next process tries again. Without a runtime directory there is no place for the
// note, and nothing is done.
func keepLinks(o storage.StoreOptions, runDir string) error {
	if runDir == "" {
		return errors.New("there is no runtime directory")
	}
	if o.GraphDriverName != "" && o.GraphDriverName != "overlay" {
		return nil
	}
	home, lists := filepath.Join(o.GraphRoot, "overlay"), filepath.Join(o.GraphRoot, "overlay-layers")
	note := filepath.Join(runDir, "podunit", "storage-links")
	known, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := identity(filepath.Join(home, linkDir))
	if now != "" && now == string(known) && !anyIncomplete(lists) {
		return nil
	}
	if _, err := os.Lstat(home); err != nil {
		return nil //nolint:nilerr // there is no layer yet
	}
	lock, err := lockfile.GetLockFile(filepath.Join(lists, "layers.lock"))
	if err != nil {
		return err
	}
	// A process that adds a layer holds the lock meanwhile. It has removed what others had begun when
	// it took the lock, and may now unpack a large image, for which nobody here is to wait.
	for begun := time.Now(); lock.TryLock() != nil; time.Sleep(time.Millisecond) {
		if time.Since(begun) > linkWait {
			return nil
		}
	}
	defer lock.Unlock()
	if err := relink(home); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(note), 0o700); err != nil {
		return err
	}
	return safe.Replace(note, []byte(identity(filepath.Join(home, linkDir))), 0o600)
}

// identity tells a directory from another that has its place, and perhaps its inode; "" if there is
// none.
func identity(dir string) string {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, dir, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d %d %d.%d\n", st.Dev_major, st.Dev_minor, st.Ino, st.Btime.Sec, st.Btime.Nsec)
}

// anyIncomplete reports whether the lists have layers that somebody has begun to add or to remove.
// Source: go.podman.io/storage, layers.go.
func anyIncomplete(lists string) bool {
	for _, name := range []string{"layers.json", "volatile-layers.json"} {
		text, err := os.ReadFile(filepath.Join(lists, name))
		if err == nil && bytes.Contains(text, []byte(`"incomplete":true`)) {
			return true
		}
	}
	return false
}

// relink makes the links that the files of the layers name, writes the names of links into files
// that have none, and removes the links of layers that are gone. The caller holds the lock of the
// layers.
func relink(home string) error {
	links := filepath.Join(home, linkDir)
	if err := os.MkdirAll(links, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(links)
	if err != nil {
		return err
	}
	var errs []error
	names := make(map[string]string) // by the ID of the layer
	for _, entry := range entries {
		path := filepath.Join(links, entry.Name())
		target, err := os.Readlink(path)
		if err != nil || filepath.Base(target) != "diff" || filepath.Dir(filepath.Dir(target)) != ".." {
			continue
		}
		id := filepath.Base(filepath.Dir(target))
		if _, err := os.Lstat(filepath.Join(home, id)); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, os.Remove(path))
			continue
		}
		names[id] = entry.Name()
	}
	layers, err := os.ReadDir(home)
	if err != nil {
		return err
	}
	for _, layer := range layers {
		if layer.IsDir() && layer.Name() != linkDir {
			errs = append(errs, relinkLayer(home, layer.Name(), names[layer.Name()]))
		}
	}
	return errors.Join(errs...)
}

// relinkLayer is relink for one layer; linked is the name of a link that points to it, or "".
func relinkLayer(home, id, linked string) error {
	path := filepath.Join(home, id, linkFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && linked == "" {
		return nil // no layer, or one that has only been begun
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	name := string(text)
	if !isShortName(name) {
		if name = linked; name == "" {
			name = rand.Text() // as long as the driver's own
		}
		if err := safe.Write(path, []byte(name), 0o644); err != nil {
			// Without the file the driver leaves l alone.
			return errors.Join(err, os.Remove(path))
		}
	}
	err = os.Symlink(filepath.Join("..", id, "diff"), filepath.Join(home, linkDir, name))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
