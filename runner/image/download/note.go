// SPDX-License-Identifier: Apache-2.0

package download

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

// Note is the file of one pull or removal. It is there once a layer is noted.
type Note struct {
	own  *os.Root
	name string
	file *os.File
}

// Begin begins a note.
func Begin(own *os.Root) *Note {
	return &Note{own: own, name: fmt.Sprintf("%s/%d-%d", notes, os.Getpid(), time.Now().UnixNano())}
}

// Add notes a layer: its ID, or the digest of the blob it is made of. Where that fails, on a full
// disk, the layer waits for its age.
func (n *Note) Add(layer string) {
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
	_, err := n.file.WriteString(layer + "\n")
	if err == nil {
		_ = n.file.Sync() // before the storage lists the layer: after a power cut nobody else knows of it
	}
}

// Close ends the note. It stays for a prune if layers may be left that nobody stands on.
func (n *Note) Close(left bool) {
	if n == nil || n.file == nil {
		return
	}
	n.file.Close()
	if !left {
		_ = n.own.Remove(n.name) // a note too many does no harm
	}
}

// Settle removes the notes of earlier pulls that noted nothing but these blobs, which have
// an image by now.
func Settle(own *os.Root, blobs []digest.Digest) {
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

// ErrPulling is a pull under way, which may be about to use layers that nobody stands on.
var ErrPulling = errors.New("a pull is under way")

// Alone calls do while no pull of this user is under way and none begins. It is ErrPulling
// if there is one.
func Alone(ctx context.Context, own *os.Root, do func() error) error {
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
			return ErrPulling
		}
	}
	return do()
}

// Noted gives the layers in notes that were last written before age, and the names of these
// notes.
func Noted(store storage.Store, own *os.Root, age time.Duration) (layers map[string]bool, files []string) {
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
			// An archive has layers that are not compressed.
			for _, find := range []func(digest.Digest) ([]storage.Layer, error){store.LayersByCompressedDigest, store.LayersByUncompressedDigest} {
				found, _ := find(digest.Digest(name)) // an error if there is none
				for _, l := range found {
					layers[l.ID] = true
				}
			}
		}
	}
	return layers, files
}

// Overdue reports whether there is a note of a pull that nobody has gone on with.
func Overdue(own *os.Root) bool {
	return slices.ContainsFunc(entries(own, notes), func(e fs.DirEntry) bool {
		info, err := e.Info()
		return err == nil && time.Since(info.ModTime()) > KeepFor
	})
}
