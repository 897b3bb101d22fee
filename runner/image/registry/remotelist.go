// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/podunit/podunit/runner/image"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/shortnames"
	"go.podman.io/image/v5/types"
)

// RemoteManifest reads the manifest of that name in a registry, word for word, and tells whether it
// is a list of manifests. Nothing is pulled.
func (im *Images) RemoteManifest(ctx context.Context, name string, o image.PullOptions) (_ json.RawMessage, list bool, _ error) {
	sys, err := systemContext(o, im.base)
	if err != nil {
		return nil, false, err
	}
	resolved, err := shortnames.Resolve(sys, strings.TrimPrefix(name, "docker://"))
	if err != nil {
		return nil, false, unresolved(name, err)
	}
	var faults []error
	for _, candidate := range resolved.PullCandidates {
		ref, err := docker.NewReference(reference.TagNameOnly(candidate.Value))
		if err != nil {
			return nil, false, err
		}
		text, mime, err := readManifest(ctx, sys, ref)
		if err == nil {
			return text, manifest.MIMETypeIsMultiImage(mime), nil
		}
		faults = append(faults, explain(name, reference.Domain(candidate.Value), err))
	}
	return nil, false, errors.Join(faults...)
}

func readManifest(ctx context.Context, sys *types.SystemContext, ref types.ImageReference) (text []byte, mime string, err error) {
	source, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	return source.GetManifest(ctx, nil)
}
