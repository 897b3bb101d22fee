// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Errors of ReadFile, beside those of open(2).
var (
	// ErrNotRegular says that a path names something else than a file: a pipe, which could keep
	// the reader waiting, a device, which may never end or do something when it is opened, a
	// directory, or a link.
	ErrNotRegular = errors.New("it is not a regular file")
	// ErrTooLarge says that a file has more bytes than its reader takes.
	ErrTooLarge = errors.New("it is too large")
)

// ReadFile reads a file that lies where others may write, such as an environment file beside
// the data of a container. Only a regular file is opened; a link at the end of the path is an
// error, as whoever may write there could have it lead to a file that only we may read. limit
// is the most bytes it may have. The error is a *fs.PathError.
func ReadFile(path string, limit int64) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, &fs.PathError{Op: "read", Path: path, Err: err} }
	// O_PATH looks at what is there without opening it. Source: open(2).
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fail(err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFLNK:
		to, err := os.Readlink(path)
		if err != nil {
			return fail(fmt.Errorf("%w but a link", ErrNotRegular))
		}
		return fail(fmt.Errorf("%w but a link; name the file itself, %s", ErrNotRegular, to))
	case unix.S_IFDIR:
		return fail(fmt.Errorf("%w but a directory", ErrNotRegular))
	case unix.S_IFIFO:
		return fail(fmt.Errorf("%w but a pipe", ErrNotRegular))
	default:
		return fail(fmt.Errorf("%w but a device or socket", ErrNotRegular))
	}
	if st.Size > limit {
		return fail(fmt.Errorf("%w: it has %d bytes and may have %d", ErrTooLarge, st.Size, limit))
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return fail(errors.Unwrap(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return fail(err)
	}
	if int64(len(data)) > limit { // it grows while it is read
		return fail(fmt.Errorf("%w: it has more than %d bytes", ErrTooLarge, limit))
	}
	return data, nil
}
