// SPDX-License-Identifier: Apache-2.0

// Package artifact holds the verbs of podunit artifact, a file for each.
package artifact

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
	libartifacttypes "go.podman.io/common/pkg/libartifact/types"
)

// New makes podunit artifact.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("artifact", "Manage OCI artifacts: files that a registry keeps",
		NewAdd(e), NewExtract(e), NewInspect(e), NewLs(e), NewPull(e), NewPush(e), NewRm(e))
}

// artifacts opens the store of artifacts.
func artifacts(ctx context.Context, e *cli.Env) (*libartifact.ArtifactStore, error) {
	im, err := image.Open(ctx, e)
	if err != nil {
		return nil, err
	}
	return im.Artifacts()
}

// stored is the artifact that a name, or the beginning of a digest, means in the store.
func stored(name string) (libartifact.ArtifactStoreReference, error) {
	ref, err := libartifact.NewArtifactStorageReference(name)
	if err != nil {
		return ref, fmt.Errorf("%s: %w", name, err)
	}
	return ref, nil
}

// find opens the store for what a name means in it.
func find(ctx context.Context, e *cli.Env, name string) (*libartifact.ArtifactStore, libartifact.ArtifactStoreReference, error) {
	ref, err := stored(name)
	if err != nil {
		return nil, ref, err
	}
	store, err := artifacts(ctx, e)
	return store, ref, err
}

// noArtifact adds the way out to the error of an artifact that does not exist.
func noArtifact(name string, err error) error {
	if errors.Is(err, libartifacttypes.ErrArtifactNotExist) {
		return hint.With(fmt.Errorf("%s: %w", name, err), "podunit artifact ls lists them")
	}
	return err
}

// complete offers the names of artifacts to the shell.
func complete(e *cli.Env) cobra.CompletionFunc {
	return cli.CompleteNames(func(ctx context.Context) ([]string, error) {
		store, err := artifacts(ctx, e)
		if err != nil {
			return nil, err
		}
		all, err := store.List(ctx)
		return cli.NamesOf(all, func(a *libartifact.Artifact) string { return a.Name }), err
	})
}
