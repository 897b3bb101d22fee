// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// NewLoad makes podunit load.
func NewLoad(e *cli.Env) *cobra.Command {
	var input string
	var quiet bool
	cmd := &cobra.Command{
		Use:     "load [flags]",
		Short:   "Read images from an archive or a directory",
		Example: "  podunit load -i app.tar",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			path, drop, err := inFile(cmd.Context(), e, im, input)
			if err != nil {
				return err
			}
			defer drop()
			names, err := im.LoadArchive(cmd.Context(), path, progress(e, quiet))
			if err != nil {
				return err
			}
			for _, name := range names {
				if _, err := io.WriteString(e.Stdout, "Loaded image: "+name+"\n"); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "read from `FILE`, or from a directory, not from stdin")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "say nothing of the progress")
	return cli.Waits(cmd)
}

// pathOf is the path of an open file from which nothing has been read yet; "" for what is no file
// or has no name any more.
func pathOf(f *os.File) string {
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return ""
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return ""
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		return ""
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(st, named) {
		return ""
	}
	// The libraries take the part after a colon for a reference, and we may not be allowed to open
	// a file that was opened for us.
	if strings.Contains(path, ":") || unix.Access(path, unix.R_OK) != nil {
		return ""
	}
	return path
}

// inFile is a file with what is to be read: the libraries read archives from files only. What drop
// removes is a copy of stdin.
func inFile(ctx context.Context, e *cli.Env, im *registry.Images, path string) (file string, drop func(), err error) {
	if path != "" && path != "-" {
		_, err := os.Stat(path)
		return path, func() {}, err
	}
	if e.Stdin == nil || term.IsTerminal(int(e.Stdin.Fd())) {
		return "", nil, hint.With(errors.New("cannot read an archive from a terminal"), "--input FILE, or a redirection")
	}
	if path := pathOf(e.Stdin); path != "" {
		return path, func() {}, nil
	}
	dir, drop, err := im.Scratch(ctx)
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "archive")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = io.Copy(f, e.Stdin)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		drop()
		return "", nil, err
	}
	return file, drop, nil
}
