// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/podunit/podunit/runner/hint"
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
