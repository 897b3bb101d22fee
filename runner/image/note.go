// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// notes is the directory, below that of downloads, with a file for each pull and removal
// under way. Its lines are the layers concerned: IDs, or the digests of the blobs they are
// made of. The storage knows which layers no image stands on, but not why: they may be
// those of another tool's pull, or of one of ours that was killed. Of the latter the file
// has stayed.
const notes = "layers"

// note is the file of one pull or removal. It is there once a layer is noted.
type note struct {
	own  *os.Root
	name string
	file *os.File
}

func begin(own *os.Root) *note {
	return &note{own: own, name: fmt.Sprintf("%s/%d-%d", notes, os.Getpid(), time.Now().UnixNano())}
}

// add notes a layer. Where that fails, on a full disk, the layer waits for its age.
func (n *note) add(layer string) {
	if n == nil {
		return
	}
	if n.file == nil {
		if err := n.own.Mkdir(notes, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return
		}
		f, err := n.own.OpenFile(n.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if err != nil {
			return
		}
		n.file = f
	}
	_, _ = n.file.WriteString(layer + "\n")
}

// close ends the note. It stays for a prune if layers may be left that nobody stands on.
func (n *note) close(left bool) {
	if n.file == nil {
		return
	}
	n.file.Close()
	if !left {
		_ = n.own.Remove(n.name) // a note too many does no harm
	}
}

// settle removes the notes of earlier pulls that noted nothing but these blobs, which have
// an image by now.
func settle(own *os.Root, blobs []digest.Digest) {
	for _, e := range entries(own, notes) {
		name := notes + "/" + e.Name()
		text, err := own.ReadFile(name)
		if err != nil {
			continue
		}
		others := slices.ContainsFunc(strings.Fields(string(text)), func(d string) bool { return !slices.Contains(blobs, digest.Digest(d)) })
		if !others {
			_ = own.Remove(name)
		}
	}
}

// errPulling is a pull under way, which may be about to use layers that nobody stands on.
var errPulling = errors.New("a pull is under way")

// alone calls do while no pull of this user is under way and none begins. It is errPulling
// if there is one.
func alone(ctx context.Context, own *os.Root, do func() error) error {
	lock, err := lockPulls(ctx, own)
	if err != nil {
		return err
	}
	defer lock.Close()
	for _, name := range pulls(own) {
		f, err := own.Open(name)
		if err != nil {
			continue // it has just ended
		}
		busy := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
		f.Close()
		if busy {
			return errPulling
		}
	}
	return do()
}

// noted gives the layers in notes that were last written before age, and the names of these
// notes.
func (im *Images) noted(own *os.Root, age time.Duration) (layers map[string]bool, files []string) {
	layers = make(map[string]bool)
	for _, e := range entries(own, notes) {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < age {
			continue
		}
		text, err := own.ReadFile(notes + "/" + e.Name())
		if err != nil {
			continue
		}
		files = append(files, notes+"/"+e.Name())
		for _, name := range strings.Fields(string(text)) {
			if !strings.Contains(name, ":") {
				layers[name] = true
				continue
			}
			found, err := im.store.LayersByCompressedDigest(digest.Digest(name))
			if err != nil {
				continue // there is none
			}
			for _, l := range found {
				layers[l.ID] = true
			}
		}
	}
	return layers, files
}

// collect removes layers that nobody stands on: those that our own pulls and removals have
// noted before age, and others that were made before foreign.
func (im *Images) collect(ctx context.Context, age, foreign time.Duration) (freed int64, err error) {
	own, err := downloads(im.store)
	if err != nil {
		return 0, err
	}
	defer own.Close()
	err = alone(ctx, own, func() error {
		layers, files := im.noted(own, age)
		var err error
		if freed, err = im.dropOrphans(foreign, layers); err != nil {
			return err
		}
		for _, name := range files {
			if err := own.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errPulling) {
		return im.dropOrphans(foreign, nil)
	}
	return freed, err
}

// collectOld removes what pulls left that nobody has gone on with.
func (im *Images) collectOld(ctx context.Context) {
	own, err := downloads(im.store)
	if err != nil {
		return // the pull will tell
	}
	defer own.Close()
	for _, e := range entries(own, notes) {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > keepFor {
			_, _ = im.collect(ctx, keepFor, forever) // the next pull tries again
			return
		}
	}
}

const forever = time.Duration(1<<63 - 1)

// noting notes the layers of images while do removes some of them, so that a prune finds
// them when this process is killed.
func (im *Images) noting(images []storage.Image, do func()) {
	var n *note
	if own, err := downloads(im.store); err == nil {
		defer own.Close()
		n = begin(own)
	}
	seen := make(map[string]bool)
	for _, i := range images {
		for _, id := range append([]string{i.TopLayer}, i.MappedTopLayers...) {
			for id != "" && !seen[id] {
				seen[id] = true
				n.add(id)
				l, err := im.store.Layer(id)
				if err != nil {
					break
				}
				id = l.Parent
			}
		}
	}
	do()
	if n != nil {
		n.close(false)
	}
}
