// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"slices"
	"strings"

	"go.podman.io/storage"
)

// Ecosystem is what the ecosystem's libraries know of images: the rules and files of
// registries.conf, policy.json, auth.json and certs.d.
type Ecosystem interface {
	// FindOther finds the image of a name that the storage does not have as it is written, of the
	// beginning of an ID, and of a repository without its registry.
	FindOther(name string) (*storage.Image, string, error)
	// Instance chooses this machine's image of a manifest list.
	Instance(stored *storage.Image, name string) (*Image, error)
	// Transport has other transports than a registry's get an image. What is left of the name is one
	// for a registry.
	Transport(ctx context.Context, name string, o PullOptions) (string, *Image, error)
	// PullNamed pulls an image from a registry. local is the one in the storage, or nil; damaged says
	// what is wrong with that.
	PullNamed(ctx context.Context, name string, local *Image, damaged *CorruptError, o PullOptions) (*Image, error)
}

// none is the ecosystem of a program that only starts what is there: it knows when it needs more.
type none struct{}

func (none) FindOther(name string) (*storage.Image, string, error) {
	return nil, "", &BeyondError{What: "image " + name}
}

func (none) Instance(_ *storage.Image, name string) (*Image, error) {
	return nil, &BeyondError{What: "the manifest list " + name}
}

// transports are the names that transports have in front of an image's.
var transports = []string{
	"atomic", "containers-storage", "dir", "docker", "docker-archive", "docker-daemon",
	"oci", "oci-archive", "ostree", "sif", "tarball",
}

func (none) Transport(_ context.Context, name string, _ PullOptions) (string, *Image, error) {
	if prefix, _, ok := strings.Cut(name, ":"); ok && slices.Contains(transports, prefix) {
		return "", nil, &BeyondError{What: "transport " + prefix}
	}
	return name, nil, nil
}

func (none) PullNamed(_ context.Context, name string, _ *Image, _ *CorruptError, _ PullOptions) (*Image, error) {
	return nil, &BeyondError{What: "a pull of " + name}
}
