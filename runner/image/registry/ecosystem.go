// SPDX-License-Identifier: Apache-2.0

// Package registry pulls, lists, tags and removes images. It follows the ecosystem's rules and
// files (registries.conf, policy.json, auth.json, certs.d) and adds what a unit needs: a pull that
// tells how it gets on, gives up on a registry that falls silent, ends at once when it is told to,
// and goes on next time where it ended.
package registry

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/image/download"
	"github.com/podunit/podunit/runner/journal"
	ours "github.com/podunit/podunit/runner/store"
	"go.podman.io/common/libimage"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/shortnames"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage"
)

// Images is the images of one storage, with all that the ecosystem's libraries can do.
type Images struct {
	*image.Images
	store   storage.Store
	runDir  string
	base    types.SystemContext
	runtime func() (*libimage.Runtime, error)
	digests digests
	// shared is the lock on the directory that runtime puts archives in. It ends with the process.
	shared *os.File
	// event notes what happens to images.
	event func(journal.Event)
}

// tell notes that something has happened to an image, in the words of podman-events(1).
func (im *Images) tell(status, id, name string) {
	im.event(journal.Event{Type: "image", Status: status, Time: time.Now(), ID: id, Name: name})
}

// tellRemoved notes what has become of images.
func (im *Images) tellRemoved(reports []*Removed) {
	for _, r := range reports {
		for _, name := range r.Untagged {
			im.tell("untag", r.ID, name)
		}
		if r.Removed {
			im.tell("remove", r.ID, firstOf(r.Untagged))
		}
	}
}

// note notes an event in the journal, unless containers.conf(5) wants none. Where nobody listens to
// the journal, nobody can ask it.
func note(e journal.Event) {
	if conf, err := ours.DefaultConf(); err == nil && !journal.Wanted(conf.Engine.EventsLogger) {
		return
	}
	_ = journal.Note(e)
}

// New gives access to the images in store. The run directory, of rootless.Identity,
// holds the locks of pulls; "" means none are taken.
func New(store storage.Store, runDir string) *Images {
	store = durable{store, syncDisk}
	im := &Images{store: store, runDir: runDir, event: note}
	im.Images = image.With(store, runDir, ecosystem{im})
	im.runtime = sync.OnceValues(func() (*libimage.Runtime, error) {
		// What is set here is only where libimage puts archives while it reads them.
		own, err := download.Open(store)
		if err != nil {
			return nil, err
		}
		defer own.Close()
		// On a disk that is full or read-only, nothing can be put there, and what follows tells.
		shared, made, _ := download.Share(own)
		im.shared = shared
		mend(store, own, made)
		sys := im.base
		sys.BigFilesTemporaryDir = own.Name()
		return libimage.RuntimeFromStore(store, &libimage.RuntimeOptions{SystemContext: &sys})
	})
	return im
}

// ecosystem is what package image needs of Images.
type ecosystem struct{ *Images }

// FindOther finds the image of a name that the storage does not have as it is written, of the
// beginning of an ID, and of a repository without its registry.
func (im ecosystem) FindOther(name string) (*storage.Image, string, error) {
	named, err := candidates(&im.base, name)
	if err != nil {
		return nil, "", err
	}
	for _, candidate := range named {
		stored, err := im.byName(candidate)
		if err == nil {
			return stored, candidate.String(), nil
		}
		if !errors.Is(err, image.ErrUnknown) {
			return nil, "", err
		}
	}
	// The beginning of an ID. This comes last, as podman has it: a name wins.
	if strings.Trim(name, "0123456789abcdef") == "" {
		if stored, err := im.store.Image(name); err == nil {
			return stored, "", nil
		}
	}
	runtime, err := im.runtime()
	if err != nil {
		return nil, "", err
	}
	img, found, err := runtime.LookupImage(name, nil)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, image.Unknown(err))
	}
	return img.StorageImage(), found, nil
}

// byName finds the image of a full name. Of a name with a tag and a digest, the digest
// counts, as in docker and podman.
func (im *Images) byName(named reference.Named) (*storage.Image, error) {
	if _, ok := named.(reference.Digested); !ok {
		stored, err := im.store.Image(named.String())
		return stored, image.Unknown(err)
	}
	ref, err := istorage.Transport.NewStoreReference(im.store, named, "")
	if err != nil {
		return nil, err
	}
	_, stored, err := istorage.ResolveReference(ref)
	if errors.Is(err, istorage.ErrNoSuchImage) {
		return nil, image.ErrUnknown
	}
	return stored, image.Unknown(err)
}

// candidates lists what a name given by a user may stand for in the storage, in full
// and in order.
func candidates(sys *types.SystemContext, name string) ([]reference.Named, error) {
	parsed, err := reference.ParseDockerRef(name) // docker.io is the last resort, locally
	if err != nil {
		return nil, &image.Error{Name: name, Err: err, Way: "a name is [REGISTRY/]REPOSITORY[:TAG][@DIGEST], in lower case"}
	}
	if !shortnames.IsShortName(name) {
		return []reference.Named{parsed}, nil
	}
	if _, ok := parsed.(reference.Digested); ok {
		// A tag beside a digest is only decoration, and in the way of a lookup.
		if bare, _, ok := strings.Cut(name, "@"); ok {
			name = strings.TrimSuffix(bare, image.TagOf(bare)) + name[len(bare):]
		}
	}
	err = ours.JudgeRegistries()
	var named []reference.Named
	if err == nil {
		named, err = shortnames.ResolveLocally(sys, name)
	}
	if err != nil {
		return nil, &image.Error{Name: name, Err: err, Way: "see containers-registries.conf(5)"}
	}
	for i := range named {
		named[i] = reference.TagNameOnly(named[i])
	}
	if !slices.ContainsFunc(named, func(n reference.Named) bool { return n.String() == parsed.String() }) {
		named = append(named, parsed)
	}
	return named, nil
}

// Instance chooses this machine's image of a manifest list.
func (im ecosystem) Instance(stored *storage.Image, name string) (*image.Image, error) {
	runtime, err := im.runtime()
	if err != nil {
		return nil, err
	}
	img, _, err := runtime.LookupImage(stored.ID, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, image.Unknown(err))
	}
	if img.ID() == stored.ID {
		return nil, fmt.Errorf("%s is a manifest list without an image for this machine", name)
	}
	return im.Load(img.StorageImage(), name)
}
