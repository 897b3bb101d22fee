// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"

	"golang.org/x/sys/unix"
)

// WithRoot calls do with the file system of a container as the container sees it, volumes included.
// A running container's own is used; that of another is mounted for this process alone.
func (e *Engine) WithRoot(ctx context.Context, r Record, do func(root string) error) error {
	if err := e.here(r); err != nil {
		return err
	}
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	if s.PID != 0 {
		return do(fmt.Sprintf("/proc/%d/root", s.PID))
	}
	return e.withMounted(r, func(root string) (err error) {
		var mounted []string
		defer func() {
			for _, target := range slices.Backward(mounted) {
				err = errors.Join(err, unix.Unmount(target, unix.MNT_DETACH))
			}
		}()
		for i, m := range byDepth(r.Spec.Mounts) {
			source := m.Source
			switch m.Type {
			case spec.MountVolume:
				got, _, err := e.ensureVolume(ctx, r, m)
				if err != nil {
					return err
				}
				source = got.Dir
			case spec.MountBind:
				if m.NoDereference && isLink(source) {
					continue
				}
			default:
				continue
			}
			if m.Subpath != "" {
				missing := m.MakeSubpath
				m.Source, m.MakeSubpath, m.Chown = source, false, false // only a start does
				source, err = e.subpath(r, fmt.Sprintf("subpath-%d", i), m, owner{})
				if missing && errors.Is(err, os.ErrNotExist) {
					continue
				}
				if err != nil {
					return err
				}
			}
			target, err := safe.OpenIn(root, m.Destination, unix.O_PATH)
			if errors.Is(err, os.ErrNotExist) {
				continue // only a start makes it
			}
			if err != nil {
				return err
			}
			at := fmt.Sprintf("/proc/self/fd/%d", target.Fd())
			where, err := os.Readlink(at)
			if err == nil {
				err = unix.Mount(source, at, "", unix.MS_BIND|unix.MS_REC, "")
			}
			target.Close()
			if err != nil {
				return fmt.Errorf("mount %s on %s: %w", source, m.Destination, err)
			}
			mounted = append(mounted, where)
		}
		return do(root)
	})
}

// Reachable calls do with a path by which a process in a pod's user namespace can reach a directory
// of ours; see reachable.
func (e *Engine) Reachable(dir string, uids, gids []spec.IDRange, do func(dir string) error) error {
	place, err := e.reachable(dir, uids, gids)
	if err != nil {
		return err
	}
	err = do(place)
	if place != dir {
		err = errors.Join(err, unix.Unmount(place, unix.MNT_DETACH))
	}
	return err
}

// reachable returns a path by which the runtime can reach a root. The runtime enters the
// container's user namespace first. If our own ID is not mapped there, it may not pass the
// directories above the storage, which are open to their owner only. So the root is mounted a
// second time in our mount namespace, which is gone with us.
func (e *Engine) reachable(root string, uids, gids []spec.IDRange) (string, error) {
	if len(uids) == 0 || spec.MapsOwner(uids) && spec.MapsOwner(gids) {
		return root, nil
	}
	if err := unix.Mount(root, e.RootPoint, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		err = fmt.Errorf("mount the root at %s: %w", e.RootPoint, err)
		if errors.Is(err, os.ErrNotExist) {
			return "", hint.With(err, "podunit is installed in part; install it again")
		}
		return "", err
	}
	return e.RootPoint, nil
}

// byDepth are mounts in the order in which they must be made.
func byDepth(mounts []spec.Mount) []spec.Mount {
	sorted := slices.Clone(mounts)
	slices.SortStableFunc(sorted, func(a, b spec.Mount) int { return len(path.Clean(a.Destination)) - len(path.Clean(b.Destination)) })
	return sorted
}

// WithLayer does something with what a container has of its own over its image, on the image, and
// without what is mounted in it.
func (e *Engine) WithLayer(r Record, do func(root string) error) (err error) {
	if err := e.here(r); err != nil {
		return err
	}
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	if s.PID == 0 {
		return e.withMounted(r, do)
	}
	// To mount the layer once more would be a second overlay at work in the same directories.
	dir, err := os.MkdirTemp(e.dir(r.ID), "root-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	if err := netns.Tree(s.PID, "/", dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	return do(dir)
}

// withMounted mounts the root of a container that does not run.
func (e *Engine) withMounted(r Record, do func(root string) error) (err error) {
	if fs := r.Spec.Rootfs; fs != nil {
		if fs.IDMap { // on the disk the files have other owners than the container sees
			return hint.With(fmt.Errorf("the root of container %s is mapped, and it does not run", r.Name), "podunit start %s", r.Name)
		}
		return do(filepath.Clean(fs.Path))
	}
	root, err := e.Store.Mount(r.ID, "")
	if err != nil {
		return fmt.Errorf("mount the root of container %s: %w", r.Name, err)
	}
	defer func() {
		_, uerr := e.Store.Unmount(r.ID, true)
		err = errors.Join(err, uerr)
	}()
	return do(root)
}

// Owner is the user and group, in our own user namespace, to whom files belong that are put into a
// container: those of its first process.
func (e *Engine) Owner(r Record) (uid, gid int, err error) {
	uids, gids, err := e.IDMappings(r)
	if err != nil {
		return 0, 0, err
	}
	var u, g uint32
	switch config, err := e.OCI(r.ID); {
	case err == nil:
		u, g = config.Process.User.UID, config.Process.User.GID
	case !errors.Is(err, ErrNotRunning):
		return 0, 0, err
	}
	uid, _ = spec.Outside(uids, u)
	gid, _ = spec.Outside(gids, g)
	return uid, gid, nil
}
