// SPDX-License-Identifier: Apache-2.0

// Package image finds images in the containers storage, in well under 3 ms, and decides by policy
// whether one is to be pulled. What takes the ecosystem's libraries, such as a pull, package registry
// adds; a program that does without links none of them.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/store"
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

// HealthCheck is the HEALTHCHECK of a Docker image; OCI has no place for it. What is zero
// was not said. Source: docker image specification 1.2, Healthcheck.
type HealthCheck struct {
	Test          []string // NONE, or CMD and a command, or CMD-SHELL and a line for the image's shell
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration // failures do not count
	StartInterval time.Duration // instead of Interval, in that time
	Retries       int
}

// Images is the images of one storage.
type Images struct {
	store  storage.Store
	runDir string

	ecosystem Ecosystem
}

// New gives access to the images in store. The run directory, of rootless.Identity,
// holds the locks of pulls; "" means none are taken.
//
// It knows names that are written in full, and has no way to a registry: of what it cannot do, the
// error is a BeyondError. Package registry knows all the rest.
func New(store storage.Store, runDir string) *Images {
	return With(store, runDir, none{})
}

// With is New with an ecosystem.
func With(store storage.Store, runDir string, e Ecosystem) *Images {
	return &Images{store: store, runDir: runDir, ecosystem: e}
}

// Lookup finds an image by name, by ID or by the beginning of an ID. A short name is
// resolved as shortnames.ResolveLocally does: aliases, localhost/, the registries of
// registries.conf, docker.io. The error is ErrUnknown when there is no such image, and
// ErrCorrupt when a piece of it is missing.
func (im *Images) Lookup(_ context.Context, name string) (*Image, error) {
	stored, found, err := im.Find(name)
	if err != nil {
		return nil, err
	}
	return im.Load(stored, found)
}

// Find looks for the storage's record of an image and tells by what name it was found.
func (im *Images) Find(name string) (*storage.Image, string, error) {
	name = strings.TrimPrefix(name, "containers-storage:")
	if id := strings.TrimPrefix(name, "sha256:"); store.IsID(id) {
		stored, err := im.store.Image(id)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, Unknown(err))
		}
		return stored, "", nil
	}
	if full := InFull(name); full != "" {
		if stored, err := im.store.Image(full); err == nil {
			return stored, full, nil
		} else if !errors.Is(err, storage.ErrImageUnknown) {
			return nil, "", err
		}
	}
	return im.ecosystem.FindOther(name)
}

// InFull is a name with a registry, and with a tag or a digest but not both, as the storage
// has it; of others it is "". What is no name at all the storage does not have.
func InFull(name string) string {
	registry, _, ok := strings.Cut(name, "/")
	bare, _, digested := strings.Cut(name, "@")
	tagged := TagOf(bare) != ""
	switch {
	case !ok || !strings.ContainsAny(registry, ".:") && registry != "localhost" || tagged && digested:
		return ""
	case tagged || digested:
		return name
	}
	return name + ":latest"
}

// Load reads manifest and configuration. The manifest list of a name that was built
// with several platforms leads to this machine's one.
func (im *Images) Load(stored *storage.Image, name string) (*Image, error) {
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
	config, err := configOf(raw)
	switch {
	case errors.Is(err, errFirstSchema):
		return nil, fmt.Errorf("image %s has %w", Short(stored.ID), err)
	case err != nil:
		return nil, damaged(stored.ID, err)
	case config == "":
		return im.ecosystem.Instance(stored, name)
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
	if err := im.checkLayers(img.TopLayer); err != nil {
		return nil, damaged(stored.ID, err)
	}
	return img, nil
}

// checkLayers looks whether each layer of an image has a record and a directory. Without
// one of them no container can be made on it.
func (im *Images) checkLayers(id string) error {
	if id != "" && im.store.GraphDriverName() == "overlay" && whole(filepath.Join(im.store.GraphRoot(), "overlay"), id) {
		_, err := im.store.Layer(id)
		return err
	}
	for id != "" {
		l, err := im.store.Layer(id)
		if err != nil {
			return err
		}
		if dir := im.LayerDir(l); dir != "" {
			if _, err := os.Lstat(dir); err != nil {
				return err
			}
			if err := checkLower(filepath.Join(filepath.Dir(dir), "lower")); err != nil && im.store.GraphDriverName() == "overlay" && l.Parent != "" {
				return err
			}
		}
		id = l.Parent
	}
	return nil
}

// whole reports whether the directories of a layer and of all below it are there, as far as
// the layer's own list of them tells: that takes a fifth of the time of asking the storage for
// each. Source: go.podman.io/storage/drivers/overlay, the file lower.
func whole(driver, id string) bool {
	if _, err := os.Lstat(filepath.Join(driver, id, "diff")); err != nil {
		return false
	}
	lower, err := os.ReadFile(filepath.Join(driver, id, "lower"))
	if err != nil || len(lower) == 0 {
		return false // the lowest has none; it is asked for
	}
	for link := range strings.SplitSeq(strings.TrimSpace(string(lower)), ":") {
		if _, err := os.Stat(filepath.Join(driver, link)); err != nil {
			return false // perhaps only the link is lost, which the storage mends
		}
	}
	return true
}

// checkLower looks into the file in which the overlay driver has the layers below one. A power cut
// may leave nothing in it, or zeros; then the driver takes its own directory for a layer.
func checkLower(path string) error {
	lower, err := os.ReadFile(path)
	if err == nil && strings.Trim(string(lower), "\x00\n ") == "" {
		return fmt.Errorf("%s is empty", path)
	}
	return err
}

// LayerDir is where the storage keeps the files of a layer, "" if that is not known. Source:
// go.podman.io/storage/drivers, overlay and vfs.
func (im *Images) LayerDir(l *storage.Layer) string {
	if l.ReadOnly { // of an additional store
		return ""
	}
	switch im.store.GraphDriverName() {
	case "overlay":
		return filepath.Join(im.store.GraphRoot(), "overlay", l.ID, "diff")
	case "vfs":
		return filepath.Join(im.store.GraphRoot(), "vfs", "dir", l.ID)
	}
	return ""
}

var errFirstSchema = errors.New("a manifest of the first schema, which docker gave up in 2020")

// configOf is the digest of the configuration that a manifest names, "" of a list of manifests.
// Docker's have these fields where those of OCI have them. Everything else was looked at when
// the image came.
func configOf(manifest []byte) (digest.Digest, error) {
	var m struct {
		SchemaVersion int
		MediaType     string
		Config        struct{ Digest digest.Digest }
		Manifests     []json.RawMessage
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return "", err
	}
	isList := m.Manifests != nil || m.MediaType == v1.MediaTypeImageIndex || m.MediaType == dockerList
	switch {
	case m.SchemaVersion == 1:
		return "", errFirstSchema
	case isList == (m.Config.Digest != ""):
		return "", errors.New("its manifest is neither that of an image nor a list")
	}
	return m.Config.Digest, nil
}

// dockerList is the media type of Docker's manifest lists. Source: distribution, manifest v2.2.
const dockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

// damaged is a CorruptError, unless the system call that failed says that it is the
// machine which is in trouble: a full disk is not mended by another pull.
func damaged(id string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT {
		return fmt.Errorf("image %s: %w", Short(id), err)
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

// TagOf gives ":TAG" of a name, or "".
func TagOf(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[i:]
	}
	return ""
}

// Unknown is ErrUnknown for the storage's way to say so.
func Unknown(err error) error {
	if errors.Is(err, storage.ErrImageUnknown) {
		return ErrUnknown
	}
	return err
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

// Short is an ID as people read it.
func Short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
