// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Chown gives what path names, and if that is a directory all below it, to an owner. A
// link is given away itself. No directory is reached by a path, so that somebody who
// exchanges one for a link while this works does not lead it out of the tree.
func Chown(path string, uid, gid int) error {
	if err := give(unix.AT_FDCWD, path, uid, gid); err != nil {
		return &os.PathError{Op: "chown", Path: path, Err: err}
	}
	dir, err := openDir(unix.AT_FDCWD, path)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	if dir == nil {
		return nil
	}
	if err := giveAll(dir, uid, gid); err != nil {
		return &os.PathError{Op: "chown below", Path: path, Err: err}
	}
	return nil
}

// giveAll gives away what is in dir, and closes it.
func giveAll(dir *os.File, uid, gid int) error {
	defer dir.Close()
	fd := int(dir.Fd())
	for {
		names, err := dir.Readdirnames(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := give(fd, name, uid, gid); err != nil {
				return err
			}
			sub, err := openDir(fd, name)
			if err != nil {
				return err
			}
			if sub == nil {
				continue
			}
			if err := giveAll(sub, uid, gid); err != nil {
				return err
			}
		}
	}
}

// give changes the owner of one file; one that is gone by now is no error. It asks first:
// a change of owner would take away the set-user-ID bit.
func give(dir int, name string, uid, gid int) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && (int(st.Uid) != uid || int(st.Gid) != gid) {
		err = unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if errors.Is(err, unix.ENOENT) && dir != unix.AT_FDCWD {
		return nil
	}
	return err
}

// openDir opens a directory, or gives nil for what is none or gone by now.
func openDir(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOENT):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
