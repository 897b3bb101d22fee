// SPDX-License-Identifier: Apache-2.0

package download

import (
	"context"
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
	"github.com/podunit/podunit/runner/safe"
	ours "github.com/podunit/podunit/runner/store"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// KeepFor is how long blobs of a pull that ended early wait for the next one.
const KeepFor = 7 * 24 * time.Hour

// Dir is where one pull puts what it downloads.
//
//	BASE/podunit-UID/pull-*/        one per running pull, which holds the lock on it
//	BASE/podunit-UID/blobs/DIGEST   complete blobs of pulls that ended early
//	BASE/podunit-UID/layers/*       layers of pulls and removals, see note.go
//	BASE/podunit-UID/*              what the library reads from archives, see scratch.go
//
// Who makes a pull's directory holds a lock on BASE/podunit-UID.
//
// The storage takes layers in order only: what was downloaded of a later layer lies in
// a file until those below it are complete, and the library removes that file when the
// pull fails. A second link, made as soon as the file has its full length, keeps it for
// the next pull, also past kill -9 and a power failure.
type Dir struct {
	Path  string   // of this pull
	Blobs string   // of earlier ones, by digest
	Lock  *os.File // held on Path until the pull ends
}

// pull is how the name of a pull's directory begins.
const pull = "pull-"

// blobs is the directory of complete blobs.
const blobs = "blobs"

// Unverified marks a blob of the right length whose digest nobody has computed yet.
const Unverified = ".Unverified"

// NewDir makes the directory of a pull, after it removed what dead pulls left.
func NewDir(ctx context.Context, store storage.Store) (*Dir, error) {
	own, err := Open(store)
	if err != nil {
		return nil, err
	}
	defer own.Close()
	beginning, err := lockPulls(ctx, own)
	if err != nil {
		return nil, err
	}
	defer beginning.Close()
	w := &Dir{Blobs: filepath.Join(own.Name(), blobs)}
	sweep(own)
	if err := own.Mkdir(blobs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// Between the directory's making and its locking a sweep may take it: try again.
	for range 10 {
		if w.Path, err = os.MkdirTemp(own.Name(), pull); err != nil {
			return nil, err
		}
		w.Lock, err = os.Open(w.Path)
		if err == nil {
			err = unix.Flock(int(w.Lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if err == nil {
			if _, err = os.Stat(w.Path); err == nil {
				return w, nil
			}
		}
		w.Lock.Close()
	}
	return nil, fmt.Errorf("%s: %w", own.Name(), err)
}

// lockPulls locks the directory of this user's pulls: until it is closed, none begins.
func lockPulls(ctx context.Context, own *os.Root) (*os.File, error) {
	f, err := own.Open(".")
	if err != nil {
		return nil, err
	}
	if err := safe.Flock(ctx, f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Open opens the directory of this user's pulls, and makes it if it is not there.
// It lies below TMPDIR or the image_copy_tmp_dir of containers.conf(5), where one of
// them is set to a directory in which nobody else can write, and otherwise in the
// storage. In a directory like /var/tmp a stranger could take its name first and lead us
// to files that are not ours, so it never lies there.
func Open(store storage.Store) (*os.Root, error) {
	name := fmt.Sprintf("podunit-%d", unshare.GetRootlessUID())
	conf, err := ours.DefaultConf()
	if err != nil {
		return nil, fmt.Errorf("containers.conf: %w", err)
	}
	dir, err := conf.ImageCopyTmpDir() // TMPDIR, if that is set
	if err != nil {
		return nil, fmt.Errorf("containers.conf: %w", err)
	}
	if dir != "" && (os.Getenv("TMPDIR") != "" || conf.Engine.ImageCopyTmpDir != "storage") {
		own, err := safe.OpenPrivate(dir, name)
		if !errors.Is(err, safe.ErrShared) && !errors.Is(err, fs.ErrPermission) {
			return own, err
		}
	}
	dir = filepath.Join(store.GraphRoot(), "tmp")
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	own, err := safe.OpenPrivate(dir, name)
	if errors.Is(err, safe.ErrShared) {
		return nil, fmt.Errorf("%s: %w; remove it", dir, err)
	}
	return own, err
}

// entries gives what is in a directory below own.
func entries(own *os.Root, dir string) []fs.DirEntry {
	f, err := own.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	all, _ := f.ReadDir(-1)
	return all
}

// pulls gives the names of the directories of pulls.
func pulls(own *os.Root) []string {
	var names []string
	for _, e := range entries(own, ".") {
		if e.IsDir() && strings.HasPrefix(e.Name(), pull) {
			names = append(names, e.Name())
		}
	}
	return names
}

// sweep removes what pulls left that did not end by themselves, and old blobs.
func sweep(own *os.Root) {
	sweepShared(own)
	for _, name := range pulls(own) {
		f, err := own.Open(name)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = own.RemoveAll(name) // the next pull tries again
		}
		f.Close()
	}
	for _, b := range entries(own, blobs) {
		if info, err := b.Info(); err == nil && time.Since(info.ModTime()) > KeepFor {
			_ = own.Remove(blobs + "/" + b.Name())
		}
	}
}

// Resume makes the kept blobs ready for use: a file whose content is not what its name
// says is removed. It reports whether there are any.
func (w *Dir) Resume() bool {
	files, _ := os.ReadDir(w.Blobs)
	any := false
	for _, f := range files {
		path := filepath.Join(w.Blobs, f.Name())
		name, fresh := strings.CutSuffix(f.Name(), Unverified)
		if !fresh {
			any = true
			continue
		}
		want := digest.Digest(name)
		if want.Validate() != nil || want.Algorithm() != digest.SHA256 || !matches(path, want) {
			_ = os.Remove(path)
			continue
		}
		if os.Rename(path, filepath.Join(w.Blobs, name)) == nil {
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

// Sizes gives the lengths of the files being downloaded, by path.
func (w *Dir) Sizes() map[string]int64 {
	all := make(map[string]int64)
	dirs, _ := os.ReadDir(w.Path)
	for _, d := range dirs {
		files, _ := os.ReadDir(filepath.Join(w.Path, d.Name()))
		for _, f := range files {
			if info, err := f.Info(); err == nil {
				all[filepath.Join(w.Path, d.Name(), f.Name())] = info.Size()
			}
		}
	}
	return all
}

// Keep links a complete download under the digest it is taken for, and reports whether
// it did. A file is taken once. Two blobs of one length may still be mistaken for each
// other here; resume finds out.
func (w *Dir) Keep(d digest.Digest, path string) bool {
	st, err := os.Lstat(path)
	if err != nil || st.Sys().(*syscall.Stat_t).Nlink > 1 {
		return false
	}
	target := filepath.Join(w.Blobs, d.String())
	if _, err := os.Lstat(target); err == nil {
		return true // it comes from there
	}
	err = os.Link(path, target+Unverified)
	return err == nil || errors.Is(err, fs.ErrExist)
}

// Close removes the directory of the pull. With forget, the blobs of these digests are
// removed as well, for they are in the storage now, or the disk is full.
func (w *Dir) Close(forget []digest.Digest) {
	_ = os.RemoveAll(w.Path) // what cannot be removed now is swept by the next pull
	for _, d := range forget {
		for _, suffix := range []string{"", Unverified} {
			_ = os.Remove(filepath.Join(w.Blobs, d.String()+suffix))
		}
	}
	w.Lock.Close()
}

// Tidy removes what a pull left that was killed between storing the image and the end:
// where the image is there, no later pull comes to do it.
func Tidy(store storage.Store, runDir string) {
	own, err := Open(store)
	if err != nil {
		return
	}
	defer own.Close()
	if len(pulls(own)) == 0 {
		return
	}
	sweep(own)
	sweepLocks(runDir)
	if len(pulls(own)) > 0 {
		return // a running pull may be reading the blobs
	}
	for _, b := range entries(own, blobs) {
		d := digest.Digest(strings.TrimSuffix(b.Name(), Unverified))
		if d.Validate() != nil {
			continue
		}
		layers, err := store.LayersByCompressedDigest(d)
		_, missing := store.Image(d.Encoded()) // an image's ID is the digest of its configuration
		if err == nil && len(layers) > 0 || missing == nil {
			_ = own.Remove(blobs + "/" + b.Name()) // it is swept when it is old
		}
	}
}

// Leftovers removes what interrupted pulls left for the next one to go on with, and their locks, and
// gives the bytes that were freed. Running pulls are left alone.
func Leftovers(store storage.Store, runDir string) (int64, error) {
	own, err := Open(store)
	if err != nil {
		return 0, err
	}
	defer own.Close()
	sweep(own)
	sweepLocks(runDir)
	var freed int64
	for _, b := range entries(own, blobs) {
		if info, err := b.Info(); err == nil && own.Remove(blobs+"/"+b.Name()) == nil {
			freed += info.Size()
		}
	}
	return freed, nil
}
