// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
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
	said, err := keepArtifacts(dir)
	for _, line := range said {
		fmt.Fprintln(os.Stderr, "podunit: warning: "+terminal.Line(line))
	}
	if err != nil {
		return nil, fmt.Errorf("list of artifacts: %w", err)
	}
	return libartifact.NewArtifactStore(dir, sys)
}

// PullArtifact fetches an artifact and returns its digest as hexadecimal digits.
func (im *Images) PullArtifact(ctx context.Context, name string, o SendOptions) (string, error) {
	store, c, err := im.copyArtifacts(o)
	if err != nil {
		return "", err
	}
	ref, err := libartifact.NewArtifactReference(name)
	if err != nil {
		return "", &image.Error{Name: name, Err: err}
	}
	d, err := store.Pull(ctx, ref, c)
	if err != nil {
		return "", explain(name, hostOf(name), err)
	}
	return d.Encoded(), nil
}

// PushArtifact sends an artifact to where its name says and returns its digest as hexadecimal digits.
func (im *Images) PushArtifact(ctx context.Context, name string, o SendOptions) (string, error) {
	store, c, err := im.copyArtifacts(o)
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
func (im *Images) copyArtifacts(o SendOptions) (*libartifact.ArtifactStore, libimage.CopyOptions, error) {
	c, err := o.copying()
	if err == nil {
		c.OciDecryptConfig, err = decryption(o.PullOptions)
	}
	if err != nil {
		return nil, c, err
	}
	store, err := im.Artifacts()
	return store, c, err
}
