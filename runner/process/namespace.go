// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Namespace is the path of a namespace of a process; kind is as in /proc/PID/ns: "net", "pid".
func Namespace(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }

// IsOurs reports whether the namespace at path is the one that we are in, which a user may not
// enter once more. Source: setns(2), whose rights are those of the namespace's owner.
func IsOurs(path, kind string) bool {
	theirs, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := os.Stat("/proc/self/ns/" + kind)
	return err == nil && os.SameFile(theirs, ours)
}

// ErrNotNamespace says that a path leads to something else than a namespace.
var ErrNotNamespace = errors.New("it is not a namespace")

// OpenNamespace opens a namespace by its path, which may lie where others can write: anything else
// there, such as a pipe that would keep us waiting, is not opened.
func OpenNamespace(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var on unix.Statfs_t
	if err := unix.Fstatfs(fd, &on); err != nil {
		return nil, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	if on.Type != unix.NSFS_MAGIC {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotNamespace}
	}
	f, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(f), path), nil
}
