// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/hint"
	"golang.org/x/sys/unix"
)

// ToFile writes an archive to a file, or to our output where that is none; not to a terminal. After
// a failure, and when ctx is done before the end, there is no file.
func (e *Env) ToFile(ctx context.Context, path string, write func(io.Writer) error) (err error) {
	if path == "" || path == "-" {
		if f, ok := e.Stdout.(*os.File); ok && IsTerminal(f) {
			return hint.With(errors.New("refusing to write an archive to a terminal"), "--output FILE, or a redirection")
		}
		return write(heeding{ctx, e.Stdout})
	}
	if f := Unnamed(path); f != nil {
		return Named(f, path, write(heeding{ctx, f}))
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err = errors.Join(write(heeding{ctx, f}), f.Close()); err != nil {
		if st, serr := os.Lstat(path); serr == nil && st.Mode().IsRegular() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// Unnamed opens a file that Named gives its name when all of it is written, so that a podunit that is
// killed leaves no half archive. It is nil where something has that name already, and on a file
// system that has no such files: there the file is written where it is.
func Unnamed(path string) *os.File {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := os.OpenFile(filepath.Dir(path), unix.O_TMPFILE|os.O_RDWR, 0o666)
	if err != nil {
		return nil
	}
	return f
}

// Named closes a file of Unnamed, with its name if writing it has not failed.
func Named(f *os.File, path string, failed error) error {
	if failed == nil {
		failed = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
		if failed != nil {
			failed = &os.PathError{Op: "name", Path: path, Err: failed}
			if errors.Is(failed, fs.ErrExist) {
				failed = hint.With(failed, "somebody made a file there meanwhile: write it again, or under another name")
			}
		}
	}
	return errors.Join(failed, f.Close())
}

// heeding is a writer that writes nothing more when ctx is done.
type heeding struct {
	ctx context.Context
	to  io.Writer
}

func (h heeding) Write(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	return h.to.Write(p)
}
