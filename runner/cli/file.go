// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"io"
	"os"

	"github.com/podunit/podunit/runner/hint"
)

// ToFile writes an archive to a file, or to our output where that is none; not to a terminal. After
// a failure there is no file.
func (e *Env) ToFile(path string, write func(io.Writer) error) (err error) {
	if path == "" || path == "-" {
		if f, ok := e.Stdout.(*os.File); ok && IsTerminal(f) {
			return hint.With(errors.New("refusing to write an archive to a terminal"), "--output FILE, or a redirection")
		}
		return write(e.Stdout)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Close()); err != nil {
		if st, serr := os.Lstat(path); serr == nil && st.Mode().IsRegular() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}
