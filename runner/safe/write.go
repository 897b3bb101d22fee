// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotOurs is a file that somebody else has put where one of ours is to be.
var ErrNotOurs = errors.New("it is not a file of this user's alone")

// making is how the name of a file ends that is to take the place of another.
const making = ".new"

// Write replaces a file, or makes it. Once it has returned, a power cut does not take the
// content back; one that comes before leaves the old content. Of several at once the last
// wins, and none sees half of another's.
func Write(path string, data []byte, mode fs.FileMode) error {
	return put(disk{lockWait}, path, data, mode, true)
}

// Replace replaces a file in one step, as Write does, but waits for no disk: for what lies
// in the runtime directory, or goes in a moment.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return put(disk{lockWait}, path, data, mode, false)
}

// Sweep removes what a Write of path that was killed has left. Nobody may be writing it now.
func Sweep(path string) error { return disk{}.remove(path + making) }

// Remove removes what Write of path has written, and what one that was killed has left: that goes
// first, since who finds the file removes it again. Without a file it does nothing. Nobody may be
// writing it now.
func Remove(path string) error {
	if err := Sweep(path); err != nil {
		return err
	}
	return disk{}.remove(path)
}

// Sync waits until the entries of a directory are on the disk.
func Sync(dir string) error { return disk{lockWait}.syncDir(dir) }

// medium is what put needs of a disk, so that a test can cut its power.
type medium interface {
	// create opens path for writing, empty, and keeps others from writing it meanwhile.
	create(path string, mode fs.FileMode) (file, error)
	rename(from, to string) error
	remove(path string) error
	syncDir(dir string) error
}

type file interface {
	Write(data []byte) (int, error)
	Sync() error
	Close() error
}

func put(m medium, path string, data []byte, mode fs.FileMode, durable bool) (err error) {
	tmp := path + making
	f, err := m.create(tmp, mode)
	if err != nil {
		return err
	}
	// Closed last: until then nobody else writes a file of this name.
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	if err == nil {
		err = m.rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, m.remove(tmp)) // a full disk keeps nothing half-written
	}
	if durable {
		return m.syncDir(filepath.Dir(path))
	}
	return nil
}

// disk is the real one. wait is the longest that create waits for the lock of a file, whoever has
// it meanwhile.
type disk struct{ wait time.Duration }

func (d disk) create(path string, mode fs.FileMode) (file, error) {
	for end := time.Now().Add(d.wait); ; {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, mode)
		if err != nil {
			return nil, err
		}
		if ours, err := own(f, path, end); err != nil || ours {
			if err == nil {
				err = errors.Join(f.Truncate(0), f.Chmod(mode))
			}
			if err != nil {
				f.Close()
				return nil, err
			}
			return f, nil
		}
		f.Close() // its maker has renamed it
		if time.Now().After(end) {
			return nil, fmt.Errorf("%s: %w", path, unix.EBUSY)
		}
	}
}

// lockWait is the longest wait for another who writes the same file: who writes holds the lock for
// the time of a write. Where a container can write, it may hold the lock for ever.
const lockWait = time.Minute

// own waits for the lock of a file until end, and reports whether it is still what path names.
func own(f *os.File, path string, end time.Time) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	// A name in a directory like /tmp may be a stranger's file, or a second one of ours.
	sys := ours.Sys().(*syscall.Stat_t)
	if !ours.Mode().IsRegular() || int(sys.Uid) != os.Geteuid() || sys.Nlink > 1 {
		return false, fmt.Errorf("%s: %w", path, ErrNotOurs)
	}
	for ; ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(end) {
			return false, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
	}
	return StillThere(f)
}

func (disk) rename(from, to string) error {
	// A device is what it is for root, too: --pidfile /dev/null.
	if st, err := os.Lstat(to); err == nil && !st.Mode().IsRegular() && st.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("%s is no file that could be replaced", to)
	}
	return os.Rename(from, to)
}

func (disk) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (disk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	// Some file systems of the user's have nothing to sync for a directory.
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}
