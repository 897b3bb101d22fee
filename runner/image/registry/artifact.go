// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/terminal"
	"go.podman.io/common/libimage"
	"go.podman.io/common/pkg/libartifact"
	"go.podman.io/image/v5/types"
	"golang.org/x/sys/unix"
)

// Artifacts are files that registries keep as they keep images. They lie beside the images of the
// storage, where podman has them, too.
func (im *Images) Artifacts() (*libartifact.ArtifactStore, error) {
	sys, err := systemContext(image.PullOptions{}, im.base)
	if err != nil {
		return nil, err
	}
	dir := image.ArtifactDir(im.store.GraphRoot())
	said, err := keepArtifacts(dir, im.changing())
	for _, line := range said {
		fmt.Fprintln(os.Stderr, "podunit: warning: "+terminal.Line(line))
	}
	if err != nil {
		return nil, fmt.Errorf("list of artifacts: %w", err)
	}
	return libartifact.NewArtifactStore(dir, sys)
}

// ChangeArtifacts has do change the artifacts. Where podunit is killed meanwhile, the next command on
// artifacts completes or takes back in silence what do has begun.
func (im *Images) ChangeArtifacts(do func(*libartifact.ArtifactStore) error) error {
	store, err := im.Artifacts()
	if err != nil {
		return err
	}
	if notes := im.changing(); notes != "" {
		defer noteChange(notes, image.ArtifactDir(im.store.GraphRoot()))()
	}
	return do(store)
}

// changing is the directory of notes that artifacts are being changed. It lies in memory, so it is
// gone after a boot: what a power cut tears may be older than the change.
func (im *Images) changing() string {
	if im.runDir == "" {
		return ""
	}
	return filepath.Join(im.runDir, "podunit", "changes")
}

// noteChange notes that this process changes the artifacts in dir, until done is called. The note is
// locked as long as the process lives, so nobody else takes it for that of a change that was killed.
// Without the note, the next command only says what it does.
func noteChange(notes, dir string) (done func()) {
	if os.MkdirAll(notes, 0o700) != nil {
		return func() {}
	}
	// The note has no name before it is locked and written: a process that is killed leaves none that
	// says nothing.
	f, err := os.OpenFile(notes, unix.O_TMPFILE|os.O_WRONLY, 0o600)
	if err != nil {
		return func() {}
	}
	path := filepath.Join(notes, rand.Text())
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		_, err = f.WriteString(dir)
	}
	if err == nil {
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		f.Close()
		return func() {}
	}
	return func() {
		_ = os.Remove(path)
		f.Close()
	}
}

// killedChanges are the notes of those that changed the artifacts in dir and were killed.
func killedChanges(notes, dir string) (paths []string) {
	entries, _ := os.ReadDir(notes) // there is none before the first change
	for _, e := range entries {
		f, err := os.Open(filepath.Join(notes, e.Name()))
		if err != nil {
			continue // it has just ended
		}
		text, err := io.ReadAll(io.LimitReader(f, unix.PathMax))
		if err == nil && string(text) == dir && unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			paths = append(paths, f.Name())
		}
		f.Close()
	}
	return paths
}

// PullArtifact fetches an artifact and returns its digest as hexadecimal digits. A registry that is
// silent, or nearly so, is given up as in a pull of an image: until then nobody else can change
// artifacts.
func (im *Images) PullArtifact(ctx context.Context, name string, o SendOptions) (string, error) {
	c, err := copyArtifacts(o)
	if err != nil {
		return "", err
	}
	ref, err := libartifact.NewArtifactReference(name)
	if err != nil {
		return "", &image.Error{Name: name, Err: err}
	}
	if err := o.SetStall(); err != nil {
		return "", err
	}
	m := newMeter(nil, name, hostOf(name), o.Stall)
	c.Progress = m.events
	var id string
	err = im.ChangeArtifacts(func(store *libartifact.ArtifactStore) error {
		_, err := m.run(ctx, 0, nil, func(ctx context.Context) (types.ImageReference, error) {
			d, err := store.Pull(ctx, ref, c)
			if err == nil {
				id = d.Encoded()
			}
			return nil, err
		})
		if err != nil {
			return explain(name, hostOf(name), err)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

// PushArtifact sends an artifact to where its name says and returns its digest as hexadecimal digits.
func (im *Images) PushArtifact(ctx context.Context, name string, o SendOptions) (string, error) {
	c, err := copyArtifacts(o)
	if err != nil {
		return "", err
	}
	store, err := im.Artifacts()
	if err != nil {
		return "", err
	}
	ref, err := libartifact.NewArtifactReference(name)
	if err != nil {
		return "", &image.Error{Name: name, Err: err}
	}
	d, err := im.signing(ctx, name, o, func() (digest.Digest, error) {
		sent, err := store.Push(ctx, ref, ref, c)
		if err != nil {
			return "", explain(name, hostOf(name), err)
		}
		return sent, nil
	})
	if err != nil {
		return "", err
	}
	return d.Encoded(), nil
}

// copyArtifacts is what the library takes to copy artifacts.
func copyArtifacts(o SendOptions) (libimage.CopyOptions, error) {
	c, err := o.copying()
	if err == nil {
		c.OciDecryptConfig, err = decryption(o.PullOptions)
	}
	return c, err
}
