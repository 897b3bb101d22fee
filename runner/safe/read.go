// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Errors of ReadFile and ReadInRoot, beside those of open(2).
var (
	// ErrNotRegular says that a path names something else than a file: a pipe, which could keep
	// the reader waiting, a device, which may never end or do something when it is opened, a
	// directory, or a link.
	ErrNotRegular = errors.New("it is not a regular file")
	// ErrKernel says that a file is one of the kernel's, of which some never end and some do
	// something when they are read.
	ErrKernel = errors.New("it is a file of the kernel")
	// ErrTooLarge says that a file has more bytes than its reader takes.
	ErrTooLarge = errors.New("it is too large")
)

// ReadFile reads a file that lies where others may write, such as an environment file beside
// the data of a container. Only a regular file is opened; a link at the end of the path is an
// error, as whoever may write there could have it lead to a file that only we may read. limit
// is the most bytes it may have. The error is a *fs.PathError.
func ReadFile(path string, limit int64) ([]byte, error) {
	return readNamed(path, unix.O_NOFOLLOW, limit)
}

// ReadLinked is ReadFile for a file that may be reached by a link, such as a unit file or a profile
// that a package has put elsewhere.
func ReadLinked(path string, limit int64) ([]byte, error) { return readNamed(path, 0, limit) }

// ReadGiven is ReadLinked for a file that a command line names. That may be a descriptor of this
// process, too, as a shell writes --cidfile <(COMMAND), which nobody else can have put there: it is
// read to its end.
func ReadGiven(path string, limit int64) ([]byte, error) {
	if !Own(path) {
		return ReadLinked(path, limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = &fs.PathError{Op: "read", Path: path, Err: ErrTooLarge}
	}
	return data, err
}

// Own tells whether a path means a descriptor of this process.
func Own(path string) bool {
	dir, _ := filepath.Split(path)
	return dir == "/dev/fd/" || dir == "/proc/self/fd/" || path == "/dev/stdin"
}

// readNamed reads a regular file; flags are those of open(2) that say how the name is looked up.
func readNamed(path string, flags int, limit int64) ([]byte, error) {
	// O_PATH looks at what is there without opening it. Source: open(2).
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	data, err := readPath(fd, limit)
	if errors.Is(err, ErrNotRegular) && flags&unix.O_NOFOLLOW != 0 {
		if to, lerr := os.Readlink(path); lerr == nil {
			err = fmt.Errorf("%w; name the file itself, %s", err, to)
		}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return data, nil
}

// ReadInRoot reads a regular file of an image or of a container, whose root is at root: links are
// followed as they are inside, and never out of it. Files of procfs and sysfs are errors. limit and
// the errors are as with ReadFile.
func ReadInRoot(root, name string, limit int64) (data []byte, err error) {
	err = inRoot(root, name, "read", func(fd int) (err error) {
		data, err = readPath(fd, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// CheckInRoot has the errors that ReadInRoot would have of the kind of what is there, and does not
// open it.
func CheckInRoot(root, name string) error {
	return inRoot(root, name, "stat", func(fd int) error {
		_, err := regular(fd)
		return err
	})
}

// inRoot calls do with an O_PATH descriptor of what is not the kernel's; op is what do does.
func inRoot(root, name, op string, do func(fd int) error) error {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the root %s: %v", root, err) //nolint:errorlint // no fs.ErrNotExist: that is for the file
	}
	defer unix.Close(dir)
	// Source: openat2(2), Linux 5.6.
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.ENOTDIR) {
		err = unix.ENOENT
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var sys unix.Statfs_t
	if err = unix.Fstatfs(fd, &sys); err == nil && (sys.Type == unix.PROC_SUPER_MAGIC || sys.Type == unix.SYSFS_MAGIC) {
		err = ErrKernel
	}
	if err == nil {
		err = do(fd)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// regular is the size of the regular file that an O_PATH descriptor stands for.
func regular(fd int) (size int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return st.Size, nil
	case unix.S_IFLNK:
		return 0, fmt.Errorf("%w but a link", ErrNotRegular)
	case unix.S_IFDIR:
		return 0, fmt.Errorf("%w but a directory", ErrNotRegular)
	case unix.S_IFIFO:
		return 0, fmt.Errorf("%w but a pipe", ErrNotRegular)
	}
	return 0, fmt.Errorf("%w but a device or socket", ErrNotRegular)
}

// readPath reads what an O_PATH descriptor stands for.
func readPath(fd int, limit int64) ([]byte, error) {
	size, err := regular(fd)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%w: it has %d bytes and may have %d", ErrTooLarge, size, limit)
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, errors.Unwrap(err) // whose path says nothing
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit { // it grows while it is read, or says that it has no bytes
		err = fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit)
	}
	return data, err
}
