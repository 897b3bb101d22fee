// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where a volume is filled: beside what containers see.
const (
	filling = "filling" // not complete; whoever fills next begins anew
	filled  = "filled"  // complete; whoever fills next goes on with moving it
)

// Fill fills an empty volume, if it is to be filled at all. The function from puts into a
// directory what is to be in the volume and gives it the owner and the mode of the volume,
// or reports that there is nothing. That directory no container sees. What is in it is then
// moved, by renames below a descriptor of the volume: other containers may have the volume
// mounted and put links into it at the same time, which lead nowhere.
func (v *Volumes) Fill(ctx context.Context, got *Volume, from func(dir string) (bool, error)) error {
	if got.NoCopy() {
		return nil
	}
	// Most volumes have been filled long ago: those need no lock.
	if empty, err := isEmpty(got.Dir); err != nil || !empty && !isDir(filepath.Join(filepath.Dir(got.Dir), filled)) {
		return err
	}
	err := v.WithLock(ctx, got.Name, func() error {
		base, err := os.OpenRoot(filepath.Dir(got.Dir))
		if err != nil {
			return err
		}
		defer base.Close()
		return fill(base, got.Anonymous, from)
	})
	if err != nil {
		return fmt.Errorf("fill volume %s: %w", got.Name, err)
	}
	return nil
}

func fill(base *os.Root, passing bool, from func(dir string) (bool, error)) error {
	// It may be a link to a larger disk: no container can make one here.
	into, err := os.OpenFile(filepath.Join(base.Name(), data), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer into.Close()
	if far, err := apart(base, into); far || err != nil {
		var empty bool
		if err == nil {
			empty, err = isEmpty(into.Name())
		}
		if empty && err == nil {
			_, err = from(into.Name()) // to which nothing can be moved
		}
		return err
	}
	if err := base.RemoveAll(filling); err != nil {
		return err
	}
	if _, err := base.Lstat(filled); errors.Is(err, fs.ErrNotExist) {
		if some, err := prepare(base, passing, into, from); !some || err != nil {
			return errors.Join(err, base.RemoveAll(filling))
		}
	} else if err != nil {
		return err
	}
	aside, err := base.OpenFile(filled, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer aside.Close()
	if err := move(aside, into); err != nil {
		return err
	}
	return base.RemoveAll(filled)
}

// apart reports whether a directory is on another file system than base.
func apart(base *os.Root, dir *os.File) (bool, error) {
	here, err := base.Stat(".")
	if err != nil {
		return false, err
	}
	there, err := dir.Stat()
	if err != nil {
		return false, err
	}
	return here.Sys().(*syscall.Stat_t).Dev != there.Sys().(*syscall.Stat_t).Dev, nil
}

// prepare makes the directory filled, complete and on the disk, unless there is nothing to
// fill the volume with or it is not empty. A volume that goes with its container is not
// waited for.
func prepare(base *os.Root, passing bool, into *os.File, from func(dir string) (bool, error)) (bool, error) {
	if names, err := into.Readdirnames(1); len(names) > 0 || !errors.Is(err, io.EOF) {
		return false, err
	}
	if err := base.Mkdir(filling, 0o700); err != nil {
		return false, err
	}
	if some, err := from(filepath.Join(base.Name(), filling)); !some || err != nil {
		return false, err
	}
	if !passing {
		if err := unix.Syncfs(int(into.Fd())); err != nil {
			return false, &fs.PathError{Op: "sync", Path: base.Name(), Err: err}
		}
	}
	return true, base.Rename(filling, filled)
}

// move moves what is in one directory to another, which gets its owner and mode, too. What
// a container has put there meanwhile stays.
func move(from, to *os.File) error {
	st, err := from.Stat()
	if err != nil {
		return err
	}
	sys := st.Sys().(*syscall.Stat_t)
	if err := errors.Join(to.Chown(int(sys.Uid), int(sys.Gid)), unix.Fchmod(int(to.Fd()), sys.Mode&0o7777)); err != nil {
		return err
	}
	names, err := from.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Renameat2(int(from.Fd()), name, int(to.Fd()), name, unix.RENAME_NOREPLACE)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return &fs.PathError{Op: "move", Path: name, Err: err}
		}
	}
	return nil
}

func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return len(names) == 0, err
}
