// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	ours "github.com/podunit/podunit/runner/store"
	"go.podman.io/common/libimage"
	"go.podman.io/storage"
)

// InUseError is an image that a container stands on.
type InUseError struct {
	Name       string   // the image
	Containers []string // names, or IDs of those without one
	Foreign    []string // of those, another tool's
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("image %s is in use by container %s", e.Name, strings.Join(e.Containers, ", "))
}

// Hint is the way out.
func (e *InUseError) Hint() string {
	if len(e.Foreign) > 0 {
		return fmt.Sprintf("%s belongs to another tool: podman rm, buildah rm", strings.Join(e.Foreign, ", "))
	}
	return fmt.Sprintf("podunit rm -f %s, or podunit rmi -f, which does that", strings.Join(e.Containers, " "))
}

// RemoveOptions says how to remove images.
type RemoveOptions struct {
	Force   bool // containers that stand on it as well, by RemoveContainer
	NoPrune bool // leave parents without a name
	// RemoveContainer stops and removes a container of podunit's, by its ID.
	RemoveContainer func(id string) error
}

// Removed is what became of one image.
type Removed = libimage.RemoveImageReport

// Remove removes an image, or the name it is called by when it has others. The error is
// ErrUnknown or an *InUseError. Containers of other tools are never removed.
func (im *Images) Remove(ctx context.Context, name string, o RemoveOptions) ([]*Removed, error) {
	stored, found, err := im.Find(name)
	if err != nil {
		return nil, err
	}
	// With another name left the image stays, and so do its containers.
	if found == "" || len(stored.Names) < 2 || !slices.Contains(stored.Names, found) {
		if err := im.release(stored, name, o); err != nil {
			return nil, err
		}
	}
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	if found != "" {
		name = found
	}
	var reports []*Removed
	var faults []error
	im.noting([]storage.Image{*stored}, func() {
		reports, faults = runtime.RemoveImages(ctx, []string{name}, &libimage.RemoveImagesOptions{
			Force:               o.Force,
			NoPrune:             o.NoPrune,
			RemoveContainerFunc: func(string) error { return nil },
			// The list itself is meant when a name is that of a list.
			LookupManifest: im.isList(stored),
		})
	})
	im.tellRemoved(reports)
	return reports, remaining(faults)
}

// remaining joins the faults of a removal, without those of what somebody else has removed
// meanwhile: it is gone, as it was to be.
func remaining(faults []error) error {
	return errors.Join(slices.DeleteFunc(faults, func(err error) bool {
		return errors.Is(err, storage.ErrImageUnknown) || errors.Is(err, storage.ErrLayerUnknown) ||
			errors.Is(err, storage.ErrNotAnImage) || errors.Is(err, storage.ErrNotALayer)
	})...)
}

// release removes the containers on an image, or says which they are.
func (im *Images) release(stored *storage.Image, name string, o RemoveOptions) error {
	ids, err := im.InUse(stored.ID)
	if err != nil || len(ids) == 0 {
		return err
	}
	e := &InUseError{Name: name}
	for _, id := range ids {
		c, err := im.store.Container(id)
		if err != nil {
			continue // it went just now
		}
		called := image.Short(id)
		if len(c.Names) > 0 {
			called = c.Names[0]
		}
		e.Containers = append(e.Containers, called)
		if foreign, err := im.foreign(id); err != nil || foreign {
			e.Foreign = append(e.Foreign, called)
		}
	}
	if len(e.Containers) == 0 {
		return nil
	}
	if !o.Force || len(e.Foreign) > 0 || o.RemoveContainer == nil {
		return e
	}
	for _, id := range ids {
		if err := o.RemoveContainer(id); err != nil {
			if _, gone := im.store.Container(id); errors.Is(gone, storage.ErrContainerUnknown) {
				continue // somebody else was faster
			}
			return fmt.Errorf("container %s: %w", image.Short(id), err)
		}
	}
	return nil
}

func (im *Images) isList(stored *storage.Image) bool {
	img, err := im.wrap(stored.ID)
	if err != nil {
		return false
	}
	_, err = img.ToManifestList()
	return err == nil
}

// RemoveAll removes every image that no container stands on; with force, the others,
// too. Those it could not remove are in the error.
func (im *Images) RemoveAll(ctx context.Context, o RemoveOptions) ([]*Removed, error) {
	var reports []*Removed
	for {
		// An image may stand on another: what cannot go now may go in the next round.
		images, err := im.store.Images()
		if err != nil {
			return reports, err
		}
		var faults []error
		removed := false
		for _, i := range images {
			if i.ReadOnly || ctx.Err() != nil {
				continue
			}
			if err := im.release(&i, nameOf(&i), o); err != nil {
				faults = append(faults, err)
				continue
			}
			got, err := im.prune(ctx, &libimage.RemoveImagesOptions{Filters: []string{"id=" + i.ID}, Force: true, RemoveContainerFunc: func(string) error { return nil }})
			reports = append(reports, got...)
			removed = removed || slices.ContainsFunc(got, func(r *Removed) bool { return r.Removed })
			if err != nil {
				faults = append(faults, err)
			}
		}
		if !removed || len(faults) == 0 || ctx.Err() != nil {
			return reports, errors.Join(faults...)
		}
	}
}

// Prune removes images that no container stands on: those without a name, or all of
// them. Filters narrow it down, see podman-image-prune(1). It removes as well what
// interrupted pulls have left, and gives those bytes.
func (im *Images) Prune(ctx context.Context, all bool, filters []string) ([]*Removed, int64, error) {
	filters = append(slices.Clone(filters), "readonly=false", "containers=false")
	if !all {
		filters = append(filters, "dangling=true")
	} else {
		filters = append(filters, "reference!="+strings.TrimSuffix(keptName, ":")) // a rollback wants it
	}
	var reports []*Removed
	for {
		got, err := im.prune(ctx, &libimage.RemoveImagesOptions{Filters: filters, WithSize: true})
		reports = append(reports, got...)
		if err != nil {
			return reports, 0, err
		}
		if !slices.ContainsFunc(got, func(r *Removed) bool { return r.Removed }) {
			break // with these gone, their parents may be without a name
		}
	}
	serr := errors.Join(ours.Sweep(im.store), ours.SweepImages(im.store))
	freed, err := download.Leftovers(im.store)
	if err != nil {
		return reports, freed, errors.Join(serr, err)
	}
	layers, err := im.collect(ctx, 0, 24*time.Hour)
	artifacts, aerr := dropArtifactFiles(image.ArtifactDir(im.store.GraphRoot()), asideAge)
	return reports, freed + layers + artifacts, errors.Join(serr, err, aerr)
}

func (im *Images) prune(ctx context.Context, o *libimage.RemoveImagesOptions) ([]*Removed, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	images, err := im.store.Images()
	if err != nil {
		return nil, err
	}
	var reports []*Removed
	var faults []error
	im.noting(images, func() { reports, faults = runtime.RemoveImages(ctx, nil, o) })
	im.tellRemoved(reports)
	return reports, remaining(faults)
}

// dropOrphans removes layers that no image and no container stands on: those in ours, which
// interrupted pulls and removals of podunit's left, and those made before age, which another
// tool's left. Younger ones may be those of a pull of it that runs.
func (im *Images) dropOrphans(age time.Duration, ours map[string]bool) (int64, error) {
	snapshot, err := im.store.MultiList(storage.MultiListOptions{Images: true, Layers: true, Containers: true})
	if err != nil {
		return 0, err
	}
	parent := make(map[string]string)
	for _, l := range snapshot.Layers {
		parent[l.ID] = l.Parent
	}
	used := make(map[string]bool)
	mark := func(id string) {
		for ; id != "" && !used[id]; id = parent[id] {
			used[id] = true
		}
	}
	for _, i := range snapshot.Images {
		mark(i.TopLayer)
		for _, id := range i.MappedTopLayers {
			mark(id)
		}
	}
	for _, c := range snapshot.Containers {
		mark(c.LayerID)
	}
	for _, l := range snapshot.Layers {
		if l.MountCount > 0 || l.ReadOnly || time.Since(l.Created) < age && !ours[l.ID] {
			mark(l.ID)
		}
	}
	var freed int64
	var faults []error
	// A layer goes after those that stand on it: the storage refuses otherwise.
	for again := true; again; {
		again, faults = false, nil
		for _, l := range snapshot.Layers {
			if used[l.ID] {
				continue
			}
			if err := im.store.DeleteLayer(l.ID); err != nil && !errors.Is(err, storage.ErrLayerUnknown) {
				faults = append(faults, fmt.Errorf("layer %s: %w", image.Short(l.ID), err))
				continue
			}
			used[l.ID], again = true, true
			freed += max(l.UncompressedSize, 0)
		}
	}
	return freed, errors.Join(faults...)
}

func nameOf(i *storage.Image) string {
	if len(i.Names) > 0 {
		return i.Names[0]
	}
	return image.Short(i.ID)
}
