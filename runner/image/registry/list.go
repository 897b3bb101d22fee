// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/image"
	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/storage"
)

// Summary is a row of a list of images. Its fields and their JSON are podman's.
// Source: podman-images(1), --format.
type Summary struct {
	ID             string `json:"Id"`
	ParentId       string //nolint:staticcheck // podman's name, for templates
	RepoTags       []string
	RepoDigests    []string
	Created        int64 // seconds since 1970
	Size           int64 // bytes of all layers
	SharedSize     int   // always 0, as podman has it
	VirtualSize    int64 `json:",omitempty"`
	Labels         map[string]string
	Containers     int      // how many stand on it
	ReadOnly       bool     `json:",omitempty"` // in an additional store
	Dangling       bool     `json:",omitempty"` // without a name, and no other image stands on it
	Arch           string   `json:",omitempty"`
	Digest         string   `json:",omitempty"`
	History        []string `json:",omitempty"` // names it once had
	IsManifestList *bool    `json:",omitempty"`
	Names          []string `json:",omitempty"`
	Os             string   `json:",omitempty"`
}

// List gives the images that pass all filters, in no order. Filters are KEY=VALUE, see
// podman-images(1), --filter.
func (im *Images) List(ctx context.Context, filters []string) ([]Summary, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	images, err := runtime.ListImages(ctx, &libimage.ListImagesOptions{
		Filters:                 filters,
		IsExternalContainerFunc: im.foreign,
		SetListData:             true,
	})
	if err != nil {
		return nil, err
	}
	containers, err := im.store.Containers()
	if err != nil {
		return nil, err
	}
	users := make(map[string]int)
	for _, c := range containers {
		users[c.ImageID]++
	}
	list := make([]Summary, 0, len(images))
	for _, img := range images {
		s, err := summary(ctx, img, users[img.ID()])
		if errors.Is(err, storage.ErrImageUnknown) || errors.Is(err, storage.ErrLayerUnknown) {
			if _, gone := im.store.Image(img.ID()); gone != nil {
				continue // it was removed just now
			}
		}
		if err != nil {
			return nil, &image.CorruptError{ID: img.ID(), Err: err}
		}
		list = append(list, s)
	}
	return list, nil
}

func summary(ctx context.Context, img *libimage.Image, users int) (Summary, error) {
	tags, err := img.RepoTags()
	if err != nil {
		return Summary{}, err
	}
	digests, err := img.RepoDigests()
	if err != nil {
		return Summary{}, err
	}
	size, err := img.Size()
	if err != nil {
		return Summary{}, err
	}
	isList, err := img.IsManifestList(ctx)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{
		ID:             img.ID(),
		RepoTags:       tags,
		RepoDigests:    digests,
		Created:        img.Created().Unix(),
		Size:           size,
		VirtualSize:    size,
		Containers:     users,
		ReadOnly:       img.IsReadOnly(),
		Digest:         img.Digest().String(),
		History:        img.NamesHistory(),
		IsManifestList: &isList,
		Names:          img.Names(),
	}
	if dangling := img.ListData.IsDangling; dangling != nil {
		s.Dangling = *dangling
	}
	if parent := img.ListData.Parent; parent != nil {
		s.ParentId = parent.ID()
	}
	if isList {
		return s, nil
	}
	data, err := img.Inspect(ctx, nil)
	if err != nil {
		return Summary{}, err
	}
	s.Labels, s.Arch, s.Os = data.Labels, data.Architecture, data.Os
	return s, nil
}

// Inspect gives all there is to know of an image, in podman's fields.
func (im *Images) Inspect(ctx context.Context, name string) (*libimage.ImageData, error) {
	stored, _, err := im.Find(name)
	if err != nil {
		return nil, err
	}
	img, err := im.wrap(stored.ID)
	if err != nil {
		return nil, err
	}
	data, err := img.Inspect(ctx, &libimage.InspectOptions{WithSize: true, WithParent: true})
	if err != nil {
		return nil, &image.CorruptError{ID: stored.ID, Err: err}
	}
	return data, nil
}

// wrap gives libimage's view of an image.
func (im *Images) wrap(id string) (*libimage.Image, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	img, _, err := runtime.LookupImage(id, &libimage.LookupImageOptions{ManifestList: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, image.Unknown(err))
	}
	return img, nil
}

// Tag gives an image further names. A name without a registry is one of localhost/.
func (im *Images) Tag(name string, targets ...string) error {
	stored, _, err := im.Find(name)
	if err != nil {
		return err
	}
	img, err := im.wrap(stored.ID)
	if err != nil {
		return err
	}
	for _, target := range targets {
		err := img.Tag(target)
		if err != nil && isFull(err) {
			return &image.FullError{Dir: im.store.GraphRoot()}
		}
		if err != nil {
			return &image.Error{Name: target, Err: err, Way: "a name is [REGISTRY/]REPOSITORY[:TAG], in lower case"}
		}
		im.tell("tag", stored.ID, target)
	}
	return nil
}

// Untag takes names from an image, or all of them when none is given.
func (im *Images) Untag(name string, names ...string) error {
	stored, _, err := im.Find(name)
	if err != nil {
		return err
	}
	img, err := im.wrap(stored.ID)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		names = img.Names()
	}
	for _, n := range slices.Clone(names) {
		if err := img.Untag(n); err != nil {
			return &image.Error{Name: n, Err: err, Way: "its names are " + strings.Join(img.Names(), ", ")}
		}
		im.tell("untag", stored.ID, n)
	}
	return nil
}

// Names lists the names of all images, and the beginnings of their IDs, for completion.
func (im *Images) Names() ([]string, error) {
	images, err := im.store.Images()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, i := range images {
		for _, name := range i.Names {
			all = append(all, name)
			// Without the registry, which a person often leaves out.
			if ref, err := reference.ParseNormalizedNamed(name); err == nil {
				all = append(all, strings.TrimPrefix(name, reference.Domain(ref)+"/"))
			}
		}
		all = append(all, image.Short(i.ID))
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// foreign reports whether a container in the storage is another tool's. Podunit's
// carry a record as their metadata.
func (im *Images) foreign(id string) (bool, error) {
	c, err := im.store.Container(id)
	if errors.Is(err, storage.ErrContainerUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var record struct{ Podunit int }
	return json.Unmarshal([]byte(c.Metadata), &record) != nil || record.Podunit == 0, nil
}

// CreatedTime is when the image was built, in UTC.
func (s Summary) CreatedTime() time.Time { return time.Unix(s.Created, 0).UTC() }
