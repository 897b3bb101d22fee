// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image/registry"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// NewSave makes podunit save.
func NewSave(e *cli.Env) *cobra.Command {
	var format, output string
	var quiet, multi, compress, uncompressed bool
	cmd := &cobra.Command{
		Use:   "save [flags] IMAGE...",
		Short: "Write images to an archive or a directory",
		Long: `Write images to an archive, on stdout or in a file, or to a directory. Podunit load reads them again, on
another machine as well: podunit save app | ssh host podunit load.`,
		Args:              cli.WantArgs(1, -1),
		ValidArgsFunction: cli.CompleteImages(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			isDir := format == "oci-dir" || format == "docker-dir"
			switch {
			case compress && !isDir:
				return errors.New("--compress can only be set when --format is 'docker-dir' or 'oci-dir'")
			case isDir && output == "":
				return hint.With(errors.New("--format "+format+" is a directory"), "--output DIRECTORY says which")
			case len(args) > 1 && format != "docker-archive":
				return errors.New("several images go into a docker-archive only")
			}
			im, err := Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			o := registry.SendOptions{Uncompressed: uncompressed, Progress: progress(e, quiet)}
			if compress {
				o.Compression = "gzip"
			}
			save := func(ctx context.Context, path string) error { return im.Save(ctx, args, format, path, o) }
			if output != "" {
				return toNamed(cmd.Context(), e, im, format, output, save)
			}
			if f, ok := e.Stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				return hint.With(errors.New("refusing to write an archive to a terminal"), "--output FILE, or a redirection")
			}
			return toStdout(cmd.Context(), e, im, format == "docker-archive", save)
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "docker-archive", "`FORMAT`: docker-archive, oci-archive, docker-dir or oci-dir")
	f.StringVarP(&output, "output", "o", "", "write to `FILE`, or to a directory, not to stdout")
	f.BoolVarP(&quiet, "quiet", "q", false, "say nothing of the progress")
	f.BoolVarP(&multi, "multi-image-archive", "m", false, "all words are images, as they always are here")
	f.BoolVar(&compress, "compress", false, "compress the layers of a directory")
	f.BoolVar(&uncompressed, "uncompressed", false, "do not compress the layers of an OCI archive or directory")
	cli.Complete(cmd, "format", "docker-archive", "oci-archive", "docker-dir", "oci-dir")
	return cli.Waits(cmd)
}

// toNamed has an archive or a directory written to a path. A new archive is written as to stdout, and
// has its name once it is whole.
func toNamed(ctx context.Context, e *cli.Env, im *registry.Images, format, path string, write func(ctx context.Context, path string) error) error {
	if format == "docker-archive" || format == "oci-archive" {
		if f := cli.Unnamed(path); f != nil {
			to := *e
			to.Stdout = f
			return cli.Named(f, path, toStdout(ctx, &to, im, format == "docker-archive", write))
		}
	}
	return write(ctx, path)
}

// toStdout passes on what is written to a path: the libraries write archives to files only. If
// stdout is an empty file and the writer writes in place, the path is that file, and layers go
// there straight. The library's writer of OCI archives does not: it follows the links of the path,
// and a file without a name is at the end of none. Otherwise it is a pipe, and layers go through a
// copy first: the storage is locked while a layer is read, and the reader of a pipe may take long.
// That writer makes such a copy anyway, so the pipe costs it no room on the disk.
func toStdout(ctx context.Context, e *cli.Env, im *registry.Images, inPlace bool, write func(ctx context.Context, path string) error) error {
	if f, ok := e.Stdout.(*os.File); ok && inPlace {
		if path := emptyFile(f); path != "" {
			err := write(ctx, path)
			_, serr := f.Seek(0, io.SeekEnd) // what comes after us goes on there
			return errors.Join(err, serr)
		}
	}
	dir, drop, err := im.Scratch(ctx)
	if err != nil {
		return err
	}
	defer drop()
	return throughPipe(ctx, filepath.Join(dir, "archive"), e.Stdout, write)
}

// emptyFile is a path to an open file that is regular, empty and may be opened again by us; "" for
// any other.
func emptyFile(f *os.File) string {
	st, err := f.Stat()
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if err != nil || !st.Mode().IsRegular() || st.Size() > 0 || unix.Access(path, unix.R_OK|unix.W_OK) != nil {
		return ""
	}
	return path
}

// throughPipe makes a pipe at a path and copies to out what is written to it, so that an archive
// needs no room on the disk.
func throughPipe(ctx context.Context, path string, out io.Writer, write func(ctx context.Context, path string) error) error {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return err
	}
	from, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	// The pipe is not at its end before a writer has opened it.
	to, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		from.Close()
		return err
	}
	defer from.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(out, from)
		if err != nil {
			// The libraries hold both ends of the pipe: full, it would keep them for ever.
			cancel()
			_, _ = io.Copy(io.Discard, from)
		}
		copied <- err
	}()
	err = errors.Join(write(ctx, path), to.Close())
	if failed := <-copied; failed != nil {
		return failed // the reason of the other
	}
	return err
}
