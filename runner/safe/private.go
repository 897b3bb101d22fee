// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrShared is of a directory in which others can write, or that is somebody else's.
var ErrShared = errors.New("not a private directory of this user")

// Permissions that make a directory one of others.
const (
	Writable  fs.FileMode = 0o022 // others can write in it
	Reachable fs.FileMode = 0o077 // others can do anything in it
)

// OpenPrivate opens the directory name below dir, and makes it if it is not there. Both
// are judged by their descriptors, and the caller works below the one returned: whoever
// exchanges a directory or puts a link in its place meanwhile changes nothing. The error
// is ErrShared if others can write in dir or reach into name.
func OpenPrivate(dir, name string) (*os.Root, error) {
	base, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrShared)
	}
	if err != nil {
		return nil, err
	}
	defer base.Close()
	if err := Private(base, Writable); err != nil {
		return nil, err
	}
	if err := base.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	own, err := base.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrShared) // a link, or a file
	}
	if err := Private(own, Reachable); err != nil {
		own.Close()
		return nil, err
	}
	return own, nil
}

// Private returns ErrShared if the directory is not this user's or has one of the
// permissions.
func Private(dir *os.Root, permissions fs.FileMode) error {
	st, err := dir.Stat(".")
	if err != nil {
		return err
	}
	if int(st.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() || st.Mode().Perm()&permissions != 0 {
		return fmt.Errorf("%s: %w", dir.Name(), ErrShared)
	}
	return nil
}

// OpenIn opens path as a process whose root directory is root would see it: links lead
// nowhere out of root, whoever exchanges what meanwhile. Links of /proc are not followed.
// Source: openat2(2), RESOLVE_IN_ROOT.
func OpenIn(root, path string, flags int) (*os.File, error) {
	base, err := os.OpenFile(root, os.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return openHow(base, path, unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// OpenBeneath opens path below a directory. A link that leads out of it is an error, EXDEV. Source:
// openat2(2), RESOLVE_BENEATH.
func OpenBeneath(dir, path string, flags int) (*os.File, error) {
	base, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return openHow(base, path, unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	})
}

func openHow(base *os.File, path string, how unix.OpenHow) (*os.File, error) {
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(int(base.Fd()), path, &how)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		// Something was renamed meanwhile, and the kernel could not be sure.
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) || tries == 100 {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
