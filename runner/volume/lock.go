// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// ErrBusy is a volume that somebody fills or removes.
var ErrBusy = errors.New("the volume is being filled or removed")

// WithLock calls do while nobody else fills or removes the volume, and waits for that as
// long as ctx lasts. The error is ErrNotFound if there is no such volume. The kernel gives
// the lock back when the process dies. It is on the volume's directory, whose content
// containers see, but not itself.
func (v *Volumes) WithLock(ctx context.Context, name string, do func() error) error {
	if err := CheckName(name); err != nil {
		return err
	}
	path := filepath.Join(v.dir, name)
	for {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			return fmt.Errorf("%s: %w", name, ErrNotFound)
		}
		if err != nil {
			return err
		}
		held, err := safe.TryFlock(f)
		if held {
			defer f.Close()
			return do()
		}
		f.Close()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", name, ErrBusy)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Remove removes a volume and all that is in it. None of that name is no error. Where
// unused is not nil it is asked under the lock, when nobody can begin to fill the volume,
// and an error of it stays the volume's removal. A volume with something mounted in it stays:
// what is mounted belongs to somebody else.
func (v *Volumes) Remove(ctx context.Context, name string, unused func() error) error {
	var tmp string
	err := v.WithLock(ctx, name, func() (err error) {
		if unused != nil {
			if err := unused(); err != nil {
				return err
			}
		}
		if err := v.unmounted(name); err != nil {
			return err
		}
		tmp, err = v.hide(name)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	v.tell("remove", name)
	return os.RemoveAll(tmp)
}

// unmounted is an error if anything is mounted in a volume, as podman does as root for a volume with
// options while one of its containers runs. A removal would go on into it.
func (v *Volumes) unmounted(name string) error {
	path, err := filepath.EvalSymlinks(filepath.Join(v.dir, name))
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
	if err != nil || len(mounts) == 0 {
		return err
	}
	at := mounts[0].Mountpoint
	return hint.With(fmt.Errorf("volume %s: something is mounted at %s", name, at), "umount %s; if podman has mounted it, podman volume unmount %s", at, name)
}

// hide puts a volume out of sight: whoever asks meanwhile finds none, and what a power cut
// leaves is swept.
func (v *Volumes) hide(name string) (string, error) {
	tmp := filepath.Join(v.dir, removing+name)
	err := os.Rename(filepath.Join(v.dir, name), tmp)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) {
		// Of an earlier removal that was cut.
		if err = os.RemoveAll(tmp); err == nil {
			err = os.Rename(filepath.Join(v.dir, name), tmp)
		}
	}
	return tmp, err
}
