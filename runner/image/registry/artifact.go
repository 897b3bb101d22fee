// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/terminal"
	"go.podman.io/common/libimage"
	"go.podman.io/common/pkg/libartifact"
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
	if path := im.changing(); path != "" {
		// Without the note, the next command only says what it does.
		_ = os.MkdirAll(filepath.Dir(path), 0o700)
		_ = safe.Replace(path, []byte(image.ArtifactDir(im.store.GraphRoot())), 0o600)
		defer os.Remove(path)
	}
	return do(store)
}

// changing is the note that artifacts are being changed, and of which storage. No boot leaves it:
// what a power cut tears may be older than the change.
func (im *Images) changing() string {
	if im.runDir == "" {
		return ""
	}
	return filepath.Join(im.runDir, "podunit", "artifacts")
}

// PullArtifact fetches an artifact and returns its digest as hexadecimal digits.
func (im *Images) PullArtifact(ctx context.Context, name string, o SendOptions) (string, error) {
	c, err := copyArtifacts(o)
	if err != nil {
		return "", err
	}
	ref, err := libartifact.NewArtifactReference(name)
	if err != nil {
		return "", &image.Error{Name: name, Err: err}
	}
	var id string
	err = im.ChangeArtifacts(func(store *libartifact.ArtifactStore) error {
		d, err := store.Pull(ctx, ref, c)
		if err != nil {
			return explain(name, hostOf(name), err)
		}
		id = d.Encoded()
		return nil
	})
	return id, err
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
