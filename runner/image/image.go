// SPDX-License-Identifier: Apache-2.0

// Package image finds, pulls, lists and removes images in the containers storage. It
// follows the ecosystem's rules and files (registries.conf, policy.json, auth.json,
// certs.d) and adds what a unit needs: a local lookup in well under 3 ms, a pull that
// tells how it gets on, gives up on a registry that falls silent, ends at once when
// it is told to, and goes on next time where it ended.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	"go.podman.io/image/v5/pkg/shortnames"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
)

// ErrUnknown is an image that is not in the storage.
var ErrUnknown = errors.New("image not known")

// Image is an image in the storage.
type Image struct {
	ID       string          // 64 hexadecimal digits
	Digest   digest.Digest   // of its manifest
	Digests  []digest.Digest // of all manifests it is known by, lists among them
	Name     string          // the name it was found by, in full; "" when found by ID
	Names    []string        // all its names, in full
	TopLayer string          // the layer a container stands on; "" for an image without layers
	Created  time.Time
	Config   v1.Image     // configuration; Docker's fields that OCI lacks are in Health
	Health   *HealthCheck // HEALTHCHECK of a Docker image, nil if there is none
}

// HealthCheck is the HEALTHCHECK of a Docker image; OCI has no place for it.
// Source: docker image specification 1.2, Healthcheck.
type HealthCheck = manifest.Schema2HealthConfig

// Images is the images of one storage.
type Images struct {
	store  storage.Store
	runDir string
	base   types.SystemContext

	ecosystem // what the whole program has more
}

// New gives access to the images in store. The run directory, of rootless.Identity,
// holds the locks of pulls; "" means none are taken.
func New(store storage.Store, runDir string) *Images {
	im := &Images{store: store, runDir: runDir}
	im.ecosystem = newEcosystem(im)
	return im
}

// Lookup finds an image by name, by ID or by the beginning of an ID. A short name is
// resolved as shortnames.ResolveLocally does: aliases, localhost/, the registries of
// registries.conf, docker.io. The error is ErrUnknown when there is no such image, and
// ErrCorrupt when a piece of it is missing.
func (im *Images) Lookup(_ context.Context, name string) (*Image, error) {
	stored, found, err := im.find(name)
	if err != nil {
		return nil, err
	}
	return im.load(stored, found)
}

// find looks for the storage's record of an image and tells by what name it was found.
func (im *Images) find(name string) (*storage.Image, string, error) {
	name = strings.TrimPrefix(name, "containers-storage:")
	id := strings.TrimPrefix(name, "sha256:")
	if reference.IsFullIdentifier(id) {
		stored, err := im.store.Image(id)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, unknown(err))
		}
		return stored, "", nil
	}
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
	return im.findOther(name)
}

// byName finds the image of a full name. Of a name with a tag and a digest, the digest
// counts, as in docker and podman.
func (im *Images) byName(named reference.Named) (*storage.Image, error) {
	if _, ok := named.(reference.Digested); !ok {
		stored, err := im.store.Image(named.String())
		if err != nil {
			return nil, unknown(err)
		}
		return stored, nil
	}
	ref, err := istorage.Transport.NewStoreReference(im.store, named, "")
	if err != nil {
		return nil, err
	}
	_, stored, err := istorage.ResolveReference(ref)
	if err != nil {
		return nil, unknown(err)
	}
	return stored, nil
}

// load reads manifest and configuration. The manifest list of a name that was built
// with several platforms leads to this machine's one.
func (im *Images) load(stored *storage.Image, name string) (*Image, error) {
	img := &Image{
		ID:       stored.ID,
		Digest:   stored.Digest,
		Digests:  stored.Digests,
		Name:     name,
		Names:    stored.Names,
		TopLayer: stored.TopLayer,
		Created:  stored.Created,
	}
	raw, err := im.store.ImageBigData(stored.ID, storage.ImageDigestBigDataKey)
	if err != nil {
		return nil, damaged(stored.ID, err)
	}
	mime := manifest.GuessMIMEType(raw)
	if manifest.MIMETypeIsMultiImage(mime) {
		return im.instance(stored, name)
	}
	m, err := manifest.FromBlob(raw, mime)
	if err != nil {
		return nil, damaged(stored.ID, err)
	}
	config := m.ConfigInfo().Digest
	if config == "" {
		return nil, fmt.Errorf("image %s has a manifest of the first schema, which docker gave up in 2020", short(stored.ID))
	}
	blob, err := im.store.ImageBigData(stored.ID, config.String())
	if err != nil {
		return nil, damaged(stored.ID, err)
	}
	var c struct {
		v1.Image
		Config struct {
			v1.ImageConfig
			Healthcheck *HealthCheck
		} `json:"config"`
	}
	if err := json.Unmarshal(blob, &c); err != nil {
		return nil, damaged(stored.ID, err)
	}
	img.Config, img.Health = c.Image, c.Config.Healthcheck
	img.Config.Config = c.Config.ImageConfig
	if img.TopLayer != "" {
		if _, err := im.store.Layer(img.TopLayer); err != nil {
			return nil, damaged(stored.ID, err)
		}
	}
	return img, nil
}

// damaged is a CorruptError, unless the system call that failed says that it is the
// machine which is in trouble: a full disk is not mended by another pull.
func damaged(id string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT {
		return fmt.Errorf("image %s: %w", short(id), err)
	}
	return &CorruptError{ID: id, Err: err}
}

// InUse gives the containers that stand on the image, podunit's and others': the IDs
// as the storage knows them.
func (im *Images) InUse(id string) ([]string, error) {
	containers, err := im.store.Containers()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range containers {
		if c.ImageID == id {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
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

// tagOf gives ":TAG" of a name, or "".
func tagOf(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[i:]
	}
	return ""
}

// unknown turns the several ways to say "no such image" into ErrUnknown.
func unknown(err error) error {
	if errors.Is(err, storage.ErrImageUnknown) || errors.Is(err, istorage.ErrNoSuchImage) {
		return ErrUnknown
	}
	return err
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

// short is an ID as people read it.
func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
