// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/store"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"go.podman.io/common/pkg/signal"
	"go.podman.io/storage"
	"go.podman.io/storage/pkg/idtools"
	"go.podman.io/storage/pkg/unshare"
	"go.podman.io/storage/types"
	"golang.org/x/sys/unix"
)

// Image is the image a container is made from; the zero value goes with --rootfs.
type Image struct {
	ID     string
	Name   string // the reference as resolved
	Digest string // of the manifest
	Config ispec.ImageConfig
	// Health is the image's health check; nil if it has none.
	Health *spec.HealthCheck
}

// ErrNameInUse says that another container has the name.
var ErrNameInUse = errors.New("that name is already in use")

// NameInUseError is ErrNameInUse with who has the name, in the words that scripts look for. Source:
// podman-create(1).
type NameInUseError struct{ Name, ID string }

func (e NameInUseError) Error() string {
	return fmt.Sprintf("the container name %q is already in use by %s. You have to remove that container to be able to reuse that name: %v, or use --replace to replace it", e.Name, e.ID, ErrNameInUse)
}

// Is makes it an ErrNameInUse.
func (NameInUseError) Is(err error) bool { return err == ErrNameInUse }

// Prepare turns what was asked for into a record: an ID, a name, and the anonymous
// volumes that the image and the command line want. It changes nothing on disk.
func (e *Engine) Prepare(s spec.Container, img Image, args []string) Record {
	r := Record{
		Podunit:   recordVersion,
		ID:        NewID(),
		Name:      s.Name,
		BootID:    BootID(),
		RunDir:    e.RunDir,
		Created:   time.Now().UTC(),
		ImageID:   img.ID,
		ImageName: img.Name,
		Digest:    img.Digest,
		Config:    img.Config,
		Spec:      s,
		Args:      spec.Redact(args),
	}
	if r.Name == "" {
		r.Name = "podunit-" + r.ID[:12]
	}
	r.Spec.Mounts = slices.Clone(s.Mounts)
	if s.ImageVolumes != "ignore" {
		for dest := range img.Config.Volumes {
			dest = path.Clean("/" + dest)
			taken := slices.ContainsFunc(s.Mounts, func(m spec.Mount) bool { return path.Clean(m.Destination) == dest })
			if taken {
				continue
			}
			m := spec.Mount{Type: spec.MountVolume, Destination: dest}
			if s.ImageVolumes == "tmpfs" {
				m.Type = spec.MountTmpfs
			}
			r.Spec.Mounts = append(r.Spec.Mounts, m)
		}
	}
	for i, m := range r.Spec.Mounts {
		if m.Type == spec.MountVolume && m.Source == "" {
			r.Spec.Mounts[i].Source = NewID()
			r.AnonymousVolumes = append(r.AnonymousVolumes, r.Spec.Mounts[i].Source)
		}
	}
	return r
}

// adding is a container that is being added to the storage, in two steps: mark and addLayer.
type adding struct {
	*Engine
	record *Record
	peers  Peers // for the IDs of a user namespace that is another container's
	lock   *Lock // held while the marker has no container: a sweep leaves it alone
}

// Create adds the container to the storage without starting it. peers has the container whose user
// namespace is joined, if one is: the files of the new one belong to its IDs.
func (e *Engine) Create(ctx context.Context, r *Record, peers Peers) error {
	a := &adding{Engine: e, record: r, peers: peers}
	err := step.Run(ctx, undoGrace, []step.Step{
		{Name: "mark", Do: a.mark, Undo: a.unmark},
		{Name: "layer", Do: a.addLayer},
	})
	if err == nil {
		e.Tell(*r, "create")
	}
	return err
}

// mark takes the lock of the ID and notes that there is about to be a container.
func (a *adding) mark(ctx context.Context) error {
	var err error
	if a.lock, err = a.takeLock(ctx, a.record.ID); err != nil {
		return err
	}
	if err := a.Engine.mark(a.record); err != nil {
		return errors.Join(err, a.unmark(ctx)) // a full disk: nothing half-written stays
	}
	return nil
}

func (a *adding) unmark(context.Context) error {
	e, r := a.Engine, a.record
	return errors.Join(os.RemoveAll(e.dir(r.ID)), os.RemoveAll(e.Files(r.ID)), os.RemoveAll(e.kept(r.ID)), removeFile(e.marker(r.ID)), removeFile(e.namePath(r.Name)), a.lock.Drop())
}

// addLayer adds the container with its layer, and gives the lock of the ID back.
func (a *adding) addLayer(ctx context.Context) error {
	e, r := a.Engine, a.record
	metadata, err := json.Marshal(r)
	if err != nil {
		return err
	}
	options := storage.ContainerOptions{Volatile: r.Spec.Remove}
	if options.IDMappingOptions, err = e.mappingOptions(ctx, r.Spec.IDMapping, a.peers); err != nil {
		return err
	}
	create := func() error {
		_, err := e.Store.CreateContainer(r.ID, []string{r.Name}, r.ImageID, r.ID, string(metadata), &options)
		return err
	}
	if mapped := options.AutoUserNs || len(options.UIDMap) > 0; mapped && r.ImageID != "" && e.Copying != nil {
		err = e.Copying(r.ImageName, create)
	} else {
		err = create()
	}
	if errors.Is(err, storage.ErrDuplicateName) {
		return fmt.Errorf("container %s: %w", r.Name, ErrNameInUse)
	}
	if err != nil {
		err = fmt.Errorf("create container %s: %w", r.Name, err)
		if r.Spec.UserNS.Mode == spec.UserAuto {
			err = e.noIDs(err)
		}
		return errors.Join(err, e.unlink(r.ID))
	}
	_ = a.lock.Drop() // a file that stays is swept
	return nil
}

// mappingOptions are what the storage is told of a container's user namespace. With auto the
// storage finds IDs that none of its other containers has.
func (e *Engine) mappingOptions(ctx context.Context, m spec.IDMapping, peers Peers) (types.IDMappingOptions, error) {
	if u := m.UserNS; u.Mode == spec.UserAuto {
		if !e.User.Rootless() {
			name, err := store.AutoUser()
			if err != nil {
				return types.IDMappingOptions{}, err
			}
			// The storage would write a line of its own and go on.
			if _, err := idtools.NewIDMappings(name, name); err != nil {
				return types.IDMappingOptions{}, &noIDsError{fmt.Errorf("--userns auto: %w", err), name}
			}
		}
		return types.IDMappingOptions{AutoUserNs: true, AutoUserNsOpts: types.AutoUserNsOptions{
			Size: u.Size, AdditionalUIDMappings: idMap(u.UIDMap), AdditionalGIDMappings: idMap(u.GIDMap),
		}}, nil
	}
	uids, gids, err := e.mappings(ctx, m, peers)
	if len(uids) == 0 || err != nil {
		return types.IDMappingOptions{HostUIDMapping: true, HostGIDMapping: true}, err
	}
	return types.IDMappingOptions{UIDMap: idMap(uids), GIDMap: idMap(gids)}, nil
}

// noIDs is the error of a container or pod for which --userns auto found no IDs.
func (e *Engine) noIDs(err error) error {
	if e.User.Rootless() {
		return &noIDsError{err, ""}
	}
	name, nerr := store.AutoUser()
	if nerr != nil {
		return err
	}
	return &noIDsError{err, name}
}

// noIDsError is a container for which --userns auto found no IDs.
type noIDsError struct {
	error
	from string // the name in /etc/subuid and /etc/subgid, of root's containers
}

func (n *noIDsError) Unwrap() error { return n.error }

// Hint is the way to more IDs.
func (n *noIDsError) Hint() string {
	if n.from == "" {
		return "the containers share the ranges in /etc/subuid and /etc/subgid: ask for fewer with auto:size=N, or add a range; one with keep-id and without size= takes them all"
	}
	return "they come from the ranges of " + n.from + ": usermod cannot name who is no user, so echo " + n.from + ":2147483647:2147483648 | tee -a /etc/subuid /etc/subgid"
}

// mark notes that a container of that ID and name is being made.
func (e *Engine) mark(r *Record) error {
	for _, file := range []struct{ path, text string }{{e.marker(r.ID), ""}, {e.namePath(r.Name), r.ID}} {
		if err := os.MkdirAll(filepath.Dir(file.path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file.path, []byte(file.text), 0o600); err != nil {
			return err
		}
	}
	// A full disk may have room for an empty file only: then the marker stays empty and names no
	// container.
	_ = os.WriteFile(e.marker(r.ID), []byte(e.RunDir), 0o600)
	return e.makeDirs(r.ID)
}

// makeDirs makes the directories that a start needs.
func (e *Engine) makeDirs(id string) error {
	return errors.Join(os.MkdirAll(e.dir(id), 0o700), os.MkdirAll(e.Files(id), 0o700))
}

// unlink removes the short names that the storage made for a layer which it then could
// not make, and forgot: each is a link in the driver's directory l.
func (e *Engine) unlink(id string) error {
	dir := filepath.Join(e.Store.GraphRoot(), e.Store.GraphDriverName(), "l")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil //nolint:nilerr // another driver has none
	}
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		target, err := os.Readlink(path)
		if err != nil || filepath.Dir(target) != filepath.Join("..", id) {
			continue
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, removeFile(path))
		}
	}
	return errors.Join(errs...)
}

// undoGrace is how long a failed start may take to tidy up. systemd's own patience, 90
// seconds by default, must be longer.
const undoGrace = 30 * time.Second

// IDMappings is the container's own user namespace relative to the one we are in; nil
// if it needs none.
func (e *Engine) IDMappings(r Record) (uids, gids []spec.IDRange, err error) {
	return e.MappingsOf(r.ID, r.Spec.IDMapping)
}

// MappingsOf is IDMappings of a container or a pod by its ID: the storage keeps the IDs that were
// found for it.
func (e *Engine) MappingsOf(id string, m spec.IDMapping) (uids, gids []spec.IDRange, err error) {
	if !m.UserNS.Found() {
		return e.written(m)
	}
	c, err := e.Store.Container(id)
	if err != nil {
		return nil, nil, fmt.Errorf("user namespace of %s: %w", id[:12], err)
	}
	outer, err := outer()
	if err != nil {
		return nil, nil, err
	}
	uids, gids = outer.Fit(idRanges(c.UIDMap), idRanges(c.GIDMap))
	return uids, gids, nil
}

// heldIDs is the prefix of the metadata of a storage entry that only holds IDs for a pod. The rest
// is the pod's name.
const heldIDs = "podunit: the IDs of pod "

// HoldIDs finds IDs for a pod with --userns auto that nobody else has, and holds them until
// ReleaseIDs. The storage shares them out to its containers, so the pod is one there, without an
// image. Where the pod has its IDs already, it keeps them.
func (e *Engine) HoldIDs(ctx context.Context, id, name string, m spec.IDMapping) error {
	if _, err := e.Store.Container(id); !errors.Is(err, storage.ErrContainerUnknown) {
		return err
	}
	options, err := e.mappingOptions(ctx, m, nil)
	if err != nil {
		return err
	}
	_, err = e.Store.CreateContainer(id, nil, "", id, heldIDs+name, &storage.ContainerOptions{IDMappingOptions: options})
	if err != nil {
		err = e.noIDs(fmt.Errorf("user namespace of pod %s: %w", name, err))
	}
	return err
}

// ReleaseIDs gives back what HoldIDs holds for a pod, if it does.
func (e *Engine) ReleaseIDs(id string) error {
	c, err := e.Store.Container(id)
	if errors.Is(err, storage.ErrContainerUnknown) {
		return nil
	}
	if err != nil || !HoldsIDs(c) {
		return err
	}
	return e.Store.DeleteContainer(id)
}

// HoldsIDs reports whether a container of the storage is only an entry that holds the IDs of a pod.
func HoldsIDs(c *storage.Container) bool { return strings.HasPrefix(c.Metadata, heldIDs) }

// mappings resolves what a command line says about IDs to mappings relative to our own
// user namespace; nil if no other namespace is wanted.
func (e *Engine) mappings(ctx context.Context, m spec.IDMapping, peers Peers) (uids, gids []spec.IDRange, err error) {
	if m.UserNS.Joins() {
		return e.theirs(ctx, m.UserNS, peers)
	}
	return e.written(m)
}

// written is mappings where words tell them.
func (e *Engine) written(m spec.IDMapping) (uids, gids []spec.IDRange, err error) {
	outer, err := outer()
	if err != nil {
		return nil, nil, err
	}
	own := spec.Own{UID: uint32(e.User.UID), GID: uint32(e.User.GID)}
	return m.Resolve(own, outer)
}

// outer is the user namespace that we are in.
func outer() (spec.Outer, error) {
	uids, gids, err := unshare.GetHostIDMappings("")
	ranges := func(m []rspec.LinuxIDMapping) []spec.IDRange {
		out := make([]spec.IDRange, len(m))
		for i, x := range m {
			out[i] = spec.IDRange{Container: x.ContainerID, Host: x.HostID, Size: x.Size}
		}
		return out
	}
	return spec.Outer{UIDs: ranges(uids), GIDs: ranges(gids), Subordinate: subordinate}, err
}

// RootGroup is the group of our own user namespace that is group 0 of a container or pod. With
// auto, where it is not known yet, it is the highest one possible.
func (e *Engine) RootGroup(ctx context.Context, m spec.IDMapping, peers Peers) (int, error) {
	if m.UserNS.Mode == spec.UserAuto {
		_, ours, err := unshare.GetHostIDMappings("")
		all := 0
		for _, m := range ours {
			all += int(m.Size)
		}
		return min(all-1, math.MaxInt32), err
	}
	_, gids, err := e.mappings(ctx, m, peers)
	if err != nil {
		return 0, err
	}
	gid, _ := spec.Outside(gids, 0)
	return gid, nil
}

// subordinate are the ranges of a name in /etc/subuid and of one in /etc/subgid, mapped from 0 on.
func subordinate(uidName, gidName string) (uids, gids []spec.IDRange, err error) {
	m, err := idtools.NewIDMappings(uidName, gidName)
	if err != nil {
		return nil, nil, fmt.Errorf("--subuidname %s, --subgidname %s: %w", uidName, gidName, err)
	}
	return idRanges(m.UIDs()), idRanges(m.GIDs()), nil
}

func idMap(ranges []spec.IDRange) []idtools.IDMap {
	out := make([]idtools.IDMap, len(ranges))
	for i, r := range ranges {
		out[i] = idtools.IDMap{ContainerID: int(r.Container), HostID: int(r.Host), Size: int(r.Size)}
	}
	return out
}

func idRanges(m []idtools.IDMap) []spec.IDRange {
	out := make([]spec.IDRange, len(m))
	for i, r := range m {
		out[i] = spec.IDRange{Container: uint32(r.ContainerID), Host: uint32(r.HostID), Size: uint32(r.Size)}
	}
	return out
}

func parseSignal(s string) (unix.Signal, bool) {
	if s == "" {
		return 0, false
	}
	sig, err := signal.ParseSignal(s)
	return sig, err == nil
}
