// SPDX-License-Identifier: Apache-2.0

//go:build !quick

package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/shortnames"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
)

// ecosystem is what the ecosystem's libraries know of images.
type ecosystem struct {
	base    types.SystemContext
	runtime func() (*libimage.Runtime, error)
}

func newEcosystem(im *Images) ecosystem {
	return ecosystem{runtime: sync.OnceValues(func() (*libimage.Runtime, error) {
		// What is set here is only where libimage puts archives while it reads them.
		own, err := downloads(im.store)
		if err != nil {
			return nil, err
		}
		defer own.Close()
		sys := im.base
		sys.BigFilesTemporaryDir = own.Name()
		return libimage.RuntimeFromStore(im.store, &libimage.RuntimeOptions{SystemContext: &sys})
	})}
}

// findOther finds the image of a name that the storage does not have as it is written, of the
// beginning of an ID, and of a repository without its registry.
func (im *Images) findOther(name string) (*storage.Image, string, error) {
	named, err := candidates(&im.base, name)
	if err != nil {
		return nil, "", err
	}
	for _, candidate := range named {
		stored, err := im.byName(candidate)
		if err == nil {
			return stored, candidate.String(), nil
		}
		if !errors.Is(err, ErrUnknown) {
			return nil, "", err
		}
	}
	// The beginning of an ID. This comes last, as podman has it: a name wins.
	if isHex(name) {
		if stored, err := im.store.Image(name); err == nil {
			return stored, "", nil
		}
	}
	runtime, err := im.runtime()
	if err != nil {
		return nil, "", err
	}
	image, found, err := runtime.LookupImage(name, nil)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, unknown(err))
	}
	return image.StorageImage(), found, nil
}

// byName finds the image of a full name. Of a name with a tag and a digest, the digest
// counts, as in docker and podman.
func (im *Images) byName(named reference.Named) (*storage.Image, error) {
	if _, ok := named.(reference.Digested); !ok {
		stored, err := im.store.Image(named.String())
		return stored, unknown(err)
	}
	ref, err := istorage.Transport.NewStoreReference(im.store, named, "")
	if err != nil {
		return nil, err
	}
	_, stored, err := istorage.ResolveReference(ref)
	if errors.Is(err, istorage.ErrNoSuchImage) {
		return nil, ErrUnknown
	}
	return stored, unknown(err)
}

// candidates lists what a name given by a user may stand for in the storage, in full
// and in order.
func candidates(sys *types.SystemContext, name string) ([]reference.Named, error) {
	parsed, err := reference.ParseDockerRef(name) // docker.io is the last resort, locally
	if err != nil {
		return nil, &Error{Name: name, Err: err, hint: "a name is [REGISTRY/]REPOSITORY[:TAG][@DIGEST], in lower case"}
	}
	if !shortnames.IsShortName(name) {
		return []reference.Named{parsed}, nil
	}
	if _, ok := parsed.(reference.Digested); ok {
		// A tag beside a digest is only decoration, and in the way of a lookup.
		if bare, _, ok := strings.Cut(name, "@"); ok {
			name = strings.TrimSuffix(bare, tagOf(bare)) + name[len(bare):]
		}
	}
	named, err := shortnames.ResolveLocally(sys, name)
	if err != nil {
		return nil, &Error{Name: name, Err: err, hint: "see containers-registries.conf(5)"}
	}
	for i := range named {
		named[i] = reference.TagNameOnly(named[i])
	}
	if !slices.ContainsFunc(named, func(n reference.Named) bool { return n.String() == parsed.String() }) {
		named = append(named, parsed)
	}
	return named, nil
}

// instance chooses this machine's image of a manifest list.
func (im *Images) instance(stored *storage.Image, name string) (*Image, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	image, _, err := runtime.LookupImage(stored.ID, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, unknown(err))
	}
	if image.ID() == stored.ID {
		return nil, fmt.Errorf("%s is a manifest list without an image for this machine", name)
	}
	return im.load(image.StorageImage(), name)
}
