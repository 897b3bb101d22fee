// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/volume"
	"go.podman.io/storage/pkg/idmap"
	"golang.org/x/sys/unix"
)

// ensureVolume returns the volume of a mount, made if need be, and reports whether the file system
// that it stands for, if any, is mounted there now for us and the container that we start.
func (e *Engine) ensureVolume(ctx context.Context, r Record, m spec.Mount) (got *volume.Volume, mounted bool, err error) {
	name := m.Source
	if m.NoCreate {
		if _, err := e.Volumes.Get(name); err != nil {
			return nil, false, hint.With(err, "podunit volume create %s; without nocreate the first start makes it", name)
		}
	}
	options, err := volume.OfMount(m, e.User.Rootless())
	if err != nil {
		return nil, false, err
	}
	if slices.Contains(r.AnonymousVolumes, name) {
		options.Anonymous, options.Labels = true, map[string]string{"podunit.anonymous": "true"}
	}
	got, _, err = e.Volumes.Ensure(ctx, name, options)
	if err != nil {
		return nil, false, err
	}
	mounted, err = e.Volumes.Mount(ctx, got, func(target string) (bool, error) { return e.joinVolume(r, name, target) },
		func(img, upper, work, target string) error {
			lower, err := e.imageFiles(ctx, r, "volume-"+name, img)
			if err != nil {
				return err
			}
			return mountOverlay(lower, upper, work, target, e.User.Rootless())
		})
	return got, mounted, err
}

// joinVolume mounts on target what another running container has mounted of the volume, and reports
// whether there is such a container.
func (e *Engine) joinVolume(r Record, name, target string) (bool, error) {
	all, err := e.List()
	if err != nil {
		return false, err
	}
	for _, other := range all {
		i := slices.IndexFunc(other.Spec.Mounts, func(m spec.Mount) bool {
			return m.Type == spec.MountVolume && m.Source == name && m.Subpath == "" && !m.Overlay
		})
		if i < 0 || other.ID == r.ID {
			continue
		}
		s, err := e.Status(other.ID)
		if err != nil || s.PID == 0 || netns.Tree(s.PID, other.Spec.Mounts[i].Destination, target) != nil {
			continue // it ends just now
		}
		// Its mount may be read-only, and ours need not be.
		if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil && !errors.Is(err, unix.EPERM) {
			return true, fmt.Errorf("volume %s of container %s: %w", name, other.Name, err)
		}
		return true, nil
	}
	return false, nil
}

// place makes an empty directory or file to mount like, a path, on. It is on a tmpfs of our own
// mount namespace, and never in a directory that is removed with a container, since the removal
// would reach the files that are mounted there.
func (e *Engine) place(r Record, name, like string) (string, error) {
	st, err := os.Stat(like)
	if err != nil {
		return "", err
	}
	top := filepath.Join(e.RunDir, "mounts")
	if err := os.MkdirAll(top, 0o700); err != nil {
		return "", err
	}
	if !volume.IsMounted(top) {
		if err := unix.Mount("mounts", top, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=700"); err != nil {
			return "", fmt.Errorf("mount a tmpfs at %s: %w", top, err)
		}
	}
	path := filepath.Join(top, r.ID[:12]+"-"+name)
	_ = unix.Unmount(path, unix.MNT_DETACH) // of an earlier start in this process
	if st.IsDir() {
		return path, os.MkdirAll(path, 0o700)
	}
	return path, os.WriteFile(path, nil, 0o600)
}

// image turns the files of an image into a bind mount of a directory. With rw changes are discarded
// at the end.
func (e *Engine) image(ctx context.Context, r Record, place string, m *spec.Mount) error {
	files, err := e.imageFiles(ctx, r, place, m.Source)
	if err != nil {
		return err
	}
	m.Type, m.Source = spec.MountBind, files
	if slices.Contains(m.Options, "rw") {
		m.Overlay = true
	} else if !m.ReadOnly() {
		m.Options = append(slices.Clone(m.Options), "ro")
	}
	return nil
}

// imageFiles mounts the files of an image in our mount namespace.
func (e *Engine) imageFiles(ctx context.Context, r Record, place, name string) (string, error) {
	id, err := e.FindImage(ctx, name)
	if errors.Is(err, image.ErrUnknown) {
		return "", hint.With(fmt.Errorf("image %s: %w", name, err), "podunit pull %s; a .image file does so before the start", name)
	}
	if err != nil {
		return "", err
	}
	root, err := e.Store.MountImage(id, nil, "")
	if err != nil {
		return "", fmt.Errorf("mount image %s: %w", name, err)
	}
	dir, err := e.place(r, place, root)
	if err == nil {
		err = unix.Mount(root, dir, "", unix.MS_BIND, "")
	}
	// The storage counts its own mount, which nobody needs any more.
	_, uerr := e.Store.UnmountImage(id, false)
	return dir, errors.Join(err, uerr)
}

// subpath mounts a part of what a mount has as its source. Containers that have it may put links
// there, which lead nowhere.
func (e *Engine) subpath(r Record, place string, m spec.Mount, who owner) (string, error) {
	f, err := openSubpath(m)
	if err != nil {
		return "", fmt.Errorf("subpath: %w", err)
	}
	defer f.Close()
	from := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if m.Chown {
		// Where it is mounted for us, nobody sees what it is.
		path, err := os.Readlink(from)
		if err == nil {
			err = mayGive(path, who)
		}
		if err != nil {
			return "", err
		}
	}
	at, err := e.place(r, place, from)
	if err == nil {
		err = unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, "")
	}
	return at, err
}

// openSubpath opens a part of what a mount has as its source, without reading it: a pipe would keep
// us waiting. The open descriptor stays the same part, whatever is renamed meanwhile. Where the
// part is to be made, a link that leads out of the source is refused.
func openSubpath(m spec.Mount) (*os.File, error) {
	if !m.MakeSubpath {
		return safe.OpenIn(m.Source, m.Subpath, unix.O_PATH)
	}
	name := cmp.Or(strings.TrimLeft(m.Subpath, "/"), ".")
	f, err := safe.OpenBeneath(m.Source, name, unix.O_PATH)
	if errors.Is(err, os.ErrNotExist) {
		if err := makeBelow(m.Source, name); err != nil {
			return nil, err
		}
		f, err = safe.OpenBeneath(m.Source, name, unix.O_PATH)
	}
	if errors.Is(err, unix.EXDEV) {
		err = fmt.Errorf("%s leads out of it", name)
	}
	return f, err
}

// makeBelow makes a directory below another one, with the mode that that has, as the kubelet does:
// who may write to a volume may write to its parts.
func makeBelow(dir, name string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	top, err := root.Stat(".")
	if err != nil {
		return err
	}
	made := ""
	for part := range strings.SplitSeq(name, "/") {
		made = filepath.Join(made, part)
		err := root.Mkdir(made, top.Mode().Perm()) // of which the umask takes its part; who is killed here leaves it as that
		if err == nil {
			err = root.Chmod(made, top.Mode())
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// idmapped mounts a source so that its owners are those of the container's user namespace, or those
// of its own mappings.
func (e *Engine) idmapped(r Record, place string, m spec.Mount) (string, error) {
	uids, gids, err := e.IDMappings(r)
	if err == nil {
		err = bundle.CheckIDMap(m, e.User.Rootless(), len(uids) > 0)
	}
	if err != nil {
		return "", err
	}
	at, err := e.place(r, place, m.Source)
	if err != nil {
		return "", err
	}
	if uids, err = bundle.MountMap(m.UIDMap, uids); err != nil {
		return "", err
	}
	if gids, err = bundle.MountMap(m.GIDMap, gids); err != nil {
		return "", err
	}
	pid, end, err := idmap.CreateUsernsProcess(idMap(uids), idMap(gids))
	if err != nil {
		return "", fmt.Errorf("option idmap: %w", err)
	}
	defer end()
	if err := idmap.CreateIDMappedMount(m.Source, at, pid); err != nil {
		return "", fmt.Errorf("option idmap: the file system of %s cannot be mapped: %w", m.Source, err)
	}
	return at, nil
}
