// SPDX-License-Identifier: Apache-2.0

package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// keepFor is how long blobs of a pull that ended early wait for the next one.
const keepFor = 7 * 24 * time.Hour

// workdir is where one pull puts what it downloads.
//
//	BASE/podunit-UID/pull-*/        one per running pull; who is alive holds the lock on it
//	BASE/podunit-UID/blobs/DIGEST   complete blobs of pulls that ended early
//
// The storage takes layers in order only: what was downloaded of a later layer lies in
// a file until those below it are complete, and the library removes that file when the
// pull fails. A second link, made as soon as the file has its full length, keeps it for
// the next pull, also past kill -9 and a power failure.
type workdir struct {
	dir   string // of this pull
	blobs string
	lock  *os.File
}

// unverified marks a blob of the right length whose digest nobody has computed yet.
const unverified = ".unverified"

// newWorkdir makes the directory of a pull, after it removed what dead pulls left.
func newWorkdir(store storage.Store) (*workdir, error) {
	own, err := ownBase(store)
	if err != nil {
		return nil, err
	}
	w := &workdir{blobs: filepath.Join(own, "blobs")}
	sweep(own)
	if err := ownDir(w.blobs); err != nil {
		return nil, err
	}
	// Between the directory's making and its locking a sweep may take it: try again.
	for range 10 {
		if w.dir, err = os.MkdirTemp(own, "pull-"); err != nil {
			return nil, err
		}
		w.lock, err = os.Open(w.dir)
		if err == nil {
			err = unix.Flock(int(w.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err == nil {
			if _, err = os.Stat(w.dir); err == nil {
				return w, nil
			}
		}
		w.lock.Close()
	}
	return nil, fmt.Errorf("%s: %w", own, err)
}

// bigFiles is the directory for downloads: TMPDIR, image_copy_tmp_dir of
// containers.conf(5), or /var/tmp; and the storage itself where that is not writable.
func bigFiles(store storage.Store) (string, error) {
	conf, err := config.Default()
	if err != nil {
		return "", fmt.Errorf("containers.conf: %w", err)
	}
	dir, err := conf.ImageCopyTmpDir()
	if err != nil {
		return "", fmt.Errorf("containers.conf: %w", err)
	}
	if dir == "" {
		dir = "/var/tmp"
	}
	if conf.Engine.ImageCopyTmpDir == "storage" && os.Getenv("TMPDIR") == "" || unix.Access(dir, unix.W_OK|unix.X_OK) != nil {
		dir = filepath.Join(store.GraphRoot(), "tmp")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// ownBase is the directory of this user's pulls. A stranger who took its name in the
// directory for downloads is not asked: then it lies in the storage.
func ownBase(store storage.Store) (string, error) {
	base, err := bigFiles(store)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("podunit-%d", unshare.GetRootlessUID())
	own := filepath.Join(base, name)
	if err = ownDir(own); err == nil || os.Getenv("TMPDIR") != "" {
		return own, err
	}
	own = filepath.Join(store.GraphRoot(), "tmp", name)
	if os.MkdirAll(filepath.Dir(own), 0o700) != nil {
		return "", err
	}
	return own, ownDir(own)
}

// ownDir makes a directory that nobody else can reach. The parent may be open to
// everybody, so a stranger may have made it first.
func ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !st.IsDir() || int(st.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() || st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a private directory of this user; remove it, or set TMPDIR", dir)
	}
	return nil
}

// sweep removes what pulls left that did not end by themselves, and old blobs.
func sweep(own string) {
	dirs, _ := filepath.Glob(filepath.Join(own, "pull-*"))
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.RemoveAll(dir) // the next pull tries again
		}
		f.Close()
	}
	blobs, _ := os.ReadDir(filepath.Join(own, "blobs"))
	for _, b := range blobs {
		if info, err := b.Info(); err == nil && time.Since(info.ModTime()) > keepFor {
			_ = os.Remove(filepath.Join(own, "blobs", b.Name()))
		}
	}
}

// resume makes the kept blobs ready for use: a file whose content is not what its name
// says is removed. It reports whether there are any.
func (w *workdir) resume() bool {
	files, _ := os.ReadDir(w.blobs)
	any := false
	for _, f := range files {
		path := filepath.Join(w.blobs, f.Name())
		name, fresh := strings.CutSuffix(f.Name(), unverified)
		if !fresh {
			any = true
			continue
		}
		want := digest.Digest(name)
		if want.Validate() != nil || want.Algorithm() != digest.SHA256 || !matches(path, want) {
			_ = os.Remove(path)
			continue
		}
		if os.Rename(path, filepath.Join(w.blobs, name)) == nil {
			any = true
		}
	}
	return any
}

func matches(path string, want digest.Digest) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false
	}
	return hex.EncodeToString(h.Sum(nil)) == want.Encoded()
}

// sizes gives the lengths of the files being downloaded, by path.
func (w *workdir) sizes() map[string]int64 {
	all := make(map[string]int64)
	dirs, _ := os.ReadDir(w.dir)
	for _, d := range dirs {
		files, _ := os.ReadDir(filepath.Join(w.dir, d.Name()))
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				all[filepath.Join(w.dir, d.Name(), f.Name())] = info.Size()
			}
		}
	}
	return all
}

// keep links a complete download under the digest it is taken for, and reports whether
// it did. A file is taken once. Two blobs of one length may still be mistaken for each
// other here; resume finds out.
func (w *workdir) keep(d digest.Digest, path string) bool {
	st, err := os.Lstat(path)
	if err != nil || st.Sys().(*syscall.Stat_t).Nlink > 1 {
		return false
	}
	target := filepath.Join(w.blobs, d.String())
	if _, err := os.Lstat(target); err == nil {
		return true // it comes from there
	}
	err = os.Link(path, target+unverified)
	return err == nil || errors.Is(err, fs.ErrExist)
}

// close removes the directory of the pull. With forget, the blobs of these digests are
// removed as well, for they are in the storage now, or the disk is full.
func (w *workdir) close(forget []digest.Digest) {
	_ = os.RemoveAll(w.dir) // what cannot be removed now is swept by the next pull
	for _, d := range forget {
		for _, suffix := range []string{"", unverified} {
			_ = os.Remove(filepath.Join(w.blobs, d.String()+suffix))
		}
	}
	w.lock.Close()
}

// tidy removes what a pull left that was killed between storing the image and the end:
// where the image is there, no later pull comes to do it.
func (im *Images) tidy() {
	base, err := bigFiles(im.store)
	if err != nil {
		return
	}
	own := filepath.Join(base, fmt.Sprintf("podunit-%d", unshare.GetRootlessUID()))
	if dirs, _ := filepath.Glob(filepath.Join(own, "pull-*")); len(dirs) == 0 {
		return
	}
	sweep(own)
	sweepLocks(im.runDir)
	if dirs, _ := filepath.Glob(filepath.Join(own, "pull-*")); len(dirs) > 0 {
		return // a running pull may be reading the blobs
	}
	blobs, _ := os.ReadDir(filepath.Join(own, "blobs"))
	for _, b := range blobs {
		d := digest.Digest(strings.TrimSuffix(b.Name(), unverified))
		if d.Validate() != nil {
			continue
		}
		layers, err := im.store.LayersByCompressedDigest(d)
		_, missing := im.store.Image(d.Encoded()) // an image's ID is the digest of its configuration
		if err == nil && len(layers) > 0 || missing == nil {
			_ = os.Remove(filepath.Join(own, "blobs", b.Name())) // it is swept when it is old
		}
	}
}

// Leftovers removes what interrupted pulls left for the next one to go on with, and
// gives the bytes that were freed. Running pulls are left alone.
func (im *Images) Leftovers() (int64, error) {
	own, err := ownBase(im.store)
	if err != nil {
		return 0, err
	}
	sweep(own)
	blobs := filepath.Join(own, "blobs")
	files, err := os.ReadDir(blobs)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	var freed int64
	for _, f := range files {
		if info, err := f.Info(); err == nil && os.Remove(filepath.Join(blobs, f.Name())) == nil {
			freed += info.Size()
		}
	}
	return freed, err
}
