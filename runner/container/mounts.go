// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"

	securejoin "github.com/cyphar/filepath-securejoin"
	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"go.podman.io/common/pkg/chown"
	"go.podman.io/storage/pkg/archive"
	"go.podman.io/storage/pkg/chrootarchive"
	"go.podman.io/storage/pkg/idtools"
	"go.podman.io/storage/pkg/unshare"
	"golang.org/x/sys/unix"
)

// A sourceError is a mount whose source is not what it must be.
type sourceError struct {
	mount spec.Mount
	err   error
}

func (s *sourceError) Error() string {
	return fmt.Sprintf("mount %s at %s: %v", s.mount.Source, s.mount.Destination, s.err)
}

func (s *sourceError) Unwrap() error { return s.err }

// Hint is the way out, where the cause has one or the source is missing.
func (s *sourceError) Hint() string {
	var below interface{ Hint() string }
	if errors.As(s.err, &below) {
		return below.Hint()
	}
	if errors.Is(s.err, fs.ErrNotExist) && s.mount.Type == spec.MountBind {
		return "mkdir -p " + s.mount.Source + ", or a name without a slash for a volume"
	}
	return ""
}

// owner is the container's user and group in our own user namespace.
type owner struct{ uid, gid int }

// sources makes every mount's source a path of the host: volumes are made and filled,
// overlays mounted (in our mount namespace only), patterns matched.
func (e *Engine) sources(ctx context.Context, r Record, mounts []spec.Mount, rootfs string, who owner) ([]spec.Mount, error) {
	var out []spec.Mount
	for i, m := range mounts {
		var err error
		if linked, err := copyLink(rootfs, m, mounts); err != nil {
			return nil, &sourceError{m, err}
		} else if linked {
			continue
		}
		switch m.Type {
		case spec.MountVolume:
			err = e.volume(ctx, r, &m, rootfs, who)
		case spec.MountBind:
			_, err = os.Stat(m.Source)
		case spec.MountImage:
			err = e.image(ctx, r, fmt.Sprintf("image-%d", i), &m)
		case spec.MountGlob:
			var globbed []spec.Mount
			globbed, err = globLinks(rootfs, m, mounts)
			out = append(out, globbed...)
		case spec.MountArtifact:
			var files []spec.Mount
			files, err = artifact(e.Store.GraphRoot(), m, rootfs)
			out = append(out, files...)
		}
		if err == nil && m.Subpath != "" {
			var part string
			if part, err = e.subpath(r, fmt.Sprintf("subpath-%d", i), m, who); err == nil {
				m.Source = part
			}
		}
		mounted := m.Source
		if err == nil && m.IDMap {
			mounted, err = e.idmapped(r, fmt.Sprintf("idmap-%d", i), m)
		}
		if err == nil && m.Overlay {
			mounted, err = e.overlay(r, fmt.Sprintf("mount-%d", i), m)
		}
		if err != nil {
			return nil, &sourceError{m, err}
		}
		m.Source, m.Overlay = mounted, false // the rest is a bind mount
		if m.Type != spec.MountGlob && m.Type != spec.MountArtifact {
			out = append(out, m)
		}
	}
	return out, nil
}

// copyLink makes a link like the source of a mount that shall not be followed, and reports whether
// it did: the kernel mounts nothing on a link. The link lies in the root, so none of all mounts may
// hide it. Source: podman-run(1), --mount, no-dereference.
func copyLink(rootfs string, m spec.Mount, all []spec.Mount) (bool, error) {
	if !m.NoDereference || m.Type != spec.MountBind || rootfs == "" {
		return false, nil
	}
	if !isLink(m.Source) {
		return false, nil // or there is nothing
	}
	for _, other := range all {
		at := filepath.Clean(other.Destination)
		if below, err := filepath.Rel(at, m.Destination); err == nil && below != "." && filepath.IsLocal(below) && (other.Type == spec.MountBind || other.Type == spec.MountVolume || other.Type == spec.MountTmpfs || other.Type == spec.MountImage) {
			return false, hint.With(fmt.Errorf("no-dereference: what is mounted at %s would hide the link", at), "leave out no-dereference, or make the link in what is mounted there")
		}
	}
	target, err := os.Readlink(m.Source)
	if err != nil {
		return false, err
	}
	root, err := os.OpenFile(rootfs, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, err
	}
	defer root.Close()
	dir, err := pathrs.MkdirAllHandle(root, filepath.Dir(m.Destination), 0o755)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	err = unix.Symlinkat(target, int(dir.Fd()), filepath.Base(m.Destination))
	if errors.Is(err, unix.EEXIST) {
		if there, rerr := os.Readlink(fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(m.Destination))); rerr == nil && there == target {
			err = nil // of an earlier start
		}
	}
	return err == nil, err
}

func isLink(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&fs.ModeSymlink != 0
}

// globLinks is glob without the links among the matches that shall not be followed: those it has
// copied.
func globLinks(rootfs string, m spec.Mount, all []spec.Mount) ([]spec.Mount, error) {
	matches, err := glob(m)
	var out []spec.Mount
	for _, one := range matches {
		linked, lerr := copyLink(rootfs, one, all)
		if lerr != nil {
			return nil, lerr
		}
		if !linked {
			out = append(out, one)
		}
	}
	return out, err
}

func glob(m spec.Mount) ([]spec.Mount, error) {
	paths, err := filepath.Glob(m.Source)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("the pattern matches nothing")
	}
	slices.Sort(paths)
	var out []spec.Mount
	for _, p := range paths {
		b := m
		b.Type, b.Source = spec.MountBind, p
		b.Destination = p // where it is on the host
		if m.Destination != "" {
			b.Destination = filepath.Join(m.Destination, filepath.Base(p))
		}
		out = append(out, b)
	}
	return out, nil
}

// artifact returns the mounts of the files of an artifact. A single file is mounted on the
// destination if that is a file of the image or does not exist; in a directory the files have their
// titles as names. Source: podman-run(1), --mount.
func artifact(graphRoot string, m spec.Mount, rootfs string) ([]spec.Mount, error) {
	blobs, err := image.Blobs(graphRoot, m.Source, m.Blob.Title, m.Blob.Digest)
	if err != nil {
		return nil, err
	}
	there, isDir := inImage(rootfs, m.Destination)
	inDir := isDir || !there && len(blobs) > 1
	if !inDir && len(blobs) > 1 {
		return nil, hint.With(fmt.Errorf("artifact %q contains more than one blob and container path %q is a file", m.Source, m.Destination), "title= or digest= takes one of them")
	}
	var out []spec.Mount
	for i, blob := range blobs {
		// Always read-only: what is written to such a file damages the storage.
		one := spec.Mount{Type: spec.MountBind, Source: blob.Path, Destination: m.Destination, Options: []string{"bind", "ro"}}
		if inDir {
			name := blob.Name
			if m.Blob.Name != "" {
				name = m.Blob.Name
				if len(blobs) > 1 {
					name += fmt.Sprintf("-%d", i)
				}
			}
			one.Destination = filepath.Join(m.Destination, name)
		}
		out = append(out, one)
	}
	return out, nil
}

// inImage looks what the image has at a path.
func inImage(rootfs, path string) (there, isDir bool) {
	if rootfs == "" {
		return false, false
	}
	f, err := safe.OpenIn(rootfs, path, unix.O_PATH)
	if err != nil {
		return false, false
	}
	defer f.Close()
	st, err := f.Stat()
	return err == nil, err == nil && st.IsDir()
}

// volume turns a volume into a bind mount of its directory. A new one begins with what
// the image has at the destination.
func (e *Engine) volume(ctx context.Context, r Record, m *spec.Mount, rootfs string, who owner) error {
	got, mounted, err := e.ensureVolume(ctx, r, *m)
	if err != nil {
		return err
	}
	disk, err := e.onDisk(r, *m)
	if err != nil {
		return err
	}
	if rootfs != "" {
		filled := mounted // what it stands for has its own content
		if !m.NoCopy && !mounted {
			err = e.Volumes.Fill(ctx, got, func(into string) (_ bool, err error) {
				filled, err = copyUp(rootfs, m.Destination, into, disk)
				return filled, err
			})
		}
		if err == nil && !filled {
			err = giveNew(got.Dir, who, disk)
		}
		if err != nil {
			return err
		}
	}
	m.Options = m.VolumeOptions()
	if w, _ := got.What(); w.ReadOnly() {
		// The runtime mounts the directory once more, with the flags that it is given.
		m.Options = append(slices.DeleteFunc(m.Options, func(o string) bool { return o == "rw" || o == "ro" }), "ro")
	}
	m.Type, m.Source = spec.MountBind, got.Dir
	return nil
}

// onDisk maps the IDs of a container's user namespace to those that lie on the disk below a mount.
// With the option idmap these are the IDs inside; else, or with mappings of its own, nothing is
// mapped.
func (e *Engine) onDisk(r Record, m spec.Mount) (*idtools.IDMappings, error) {
	if !m.IDMap || len(m.UIDMap)+len(m.GIDMap) > 0 {
		return &idtools.IDMappings{}, nil
	}
	uids, gids, err := e.IDMappings(r)
	return idtools.NewIDMappingsFromMaps(orNone(idMap(uids)), orNone(idMap(gids))), err
}

// giveNew makes the container's user the owner of a volume that is empty and still ours, or the
// user could not write into it.
func giveNew(dir string, who owner, disk *idtools.IDMappings) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil || st.Uid != 0 || st.Gid != 0 || who == (owner{}) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		return err
	}
	uid, gid, err := disk.ToContainer(idtools.IDPair{UID: who.uid, GID: who.gid})
	if err != nil {
		return err
	}
	return unix.Lchown(dir, uid, gid)
}

// copyUp puts what lies at destination in the image into a new directory, owners (as disk maps them)
// and modes included, its own as well. It reports whether there is anything.
func copyUp(rootfs, destination, into string, disk *idtools.IDMappings) (bool, error) {
	src, err := safe.OpenIn(rootfs, destination, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false, nil //nolint:nilerr // the image has nothing there
	}
	defer src.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(src.Fd()), &st); err != nil {
		return false, err
	}
	if names, _ := src.Readdirnames(1); len(names) > 0 {
		if err := copyTree(rootfs, destination, into, disk); err != nil {
			return false, err
		}
	}
	uid, gid, err := disk.ToContainer(idtools.IDPair{UID: int(st.Uid), GID: int(st.Gid)})
	if err != nil {
		return false, fmt.Errorf("%s belongs to %d:%d, which the container's user namespace does not have: leave out the volume's option idmap, or add nocopy: %w", destination, st.Uid, st.Gid, err)
	}
	return true, errors.Join(unix.Lchown(into, uid, gid), unix.Chmod(into, st.Mode&0o7777))
}

// copyTree copies a directory. A process whose root directory is the image reads it, so that links
// lead nowhere else: with --rootfs another container may be at work in there. Another such process
// writes the copy, since the target may be a volume that others use.
func copyTree(rootfs, dir, into string, disk *idtools.IDMappings) error {
	src, err := securejoin.SecureJoin(rootfs, dir)
	if err != nil {
		return err
	}
	ours := unshare.IsRootless()
	content, err := chrootarchive.Tar(src, &archive.TarOptions{Compression: archive.Uncompressed, CopyPass: true, InUserNS: ours, UIDMaps: disk.UIDs(), GIDMaps: disk.GIDs()}, rootfs)
	if err != nil {
		return err
	}
	defer content.Close()
	return chrootarchive.UntarUncompressed(content, into, &archive.TarOptions{InUserNS: ours})
}

// overlay mounts source under a layer that takes the changes, and returns where.
func (e *Engine) overlay(r Record, name string, m spec.Mount) (string, error) {
	base, err := e.Store.ContainerDirectory(r.ID)
	if err != nil {
		return "", err
	}
	base = filepath.Join(base, name)
	upper, work := m.Upper, m.Work
	// It is not below the container's directory: to remove that directory in our mount namespace
	// would also remove the files in the upper directory.
	merged, err := e.place(r, name, m.Source)
	if err != nil {
		return "", err
	}
	if upper == "" {
		// Left by an earlier start: changes are for one start only.
		if err := os.RemoveAll(base); err != nil {
			return "", err
		}
		upper, work = filepath.Join(base, "upper"), filepath.Join(base, "work")
	}
	for _, dir := range []string{upper, work} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(m.Source, &st); err != nil {
		return "", err
	}
	if err := errors.Join(unix.Chown(upper, int(st.Uid), int(st.Gid)), unix.Chmod(upper, st.Mode&0o7777)); err != nil {
		return "", err
	}
	if err := mountOverlay(m.Source, upper, work, merged, e.User.Rootless()); err != nil {
		return "", err
	}
	return merged, nil
}

func mountOverlay(lower, upper, work, merged string, rootless bool) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", bundle.EscapeOverlay(lower), bundle.EscapeOverlay(upper), bundle.EscapeOverlay(work))
	if rootless {
		options += ",userxattr"
	}
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		return fmt.Errorf("overlay: %w", err)
	}
	return nil
}

// giveSources hands the sources of mounts with the option U to the container's user;
// uid and gid are in our user namespace. Other containers may be at work in them.
func giveSources(mounts []spec.Mount, uid, gid int) error {
	for _, m := range mounts {
		if !m.Chown {
			continue
		}
		err := mayGive(m.Source, owner{uid, gid})
		if err == nil {
			err = safe.Chown(m.Source, uid, gid)
		}
		if err != nil {
			return &sourceError{m, err}
		}
	}
	return nil
}

// mayGive refuses the option U for a directory of the system.
func mayGive(path string, to owner) error {
	dangerous, err := chown.DangerousHostPath(path)
	if err == nil && dangerous {
		err = fmt.Errorf("option U is not for a directory of the system; by hand: chown -R %d:%d %s", to.uid, to.gid, path)
	}
	return err
}
