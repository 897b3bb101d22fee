// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
	libartifacttypes "go.podman.io/common/pkg/libartifact/types"
)

// NewExtract makes podunit artifact extract.
func NewExtract(e *cli.Env) *cobra.Command {
	var o libartifacttypes.ExtractOptions
	cmd := &cobra.Command{
		Use:               "extract [flags] ARTIFACT PATH",
		ValidArgsFunction: cli.CompleteFirst(complete(e)),
		Short:             "Write the files of an artifact to a file or a directory",
		Args:              cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, ref, err := find(cmd.Context(), e, args[0])
			if err != nil {
				return err
			}
			if st, err := os.Stat(args[1]); err == nil && st.IsDir() {
				return noArtifact(args[0], extract(cmd.Context(), store, ref, args[1], &o))
			}
			files, err := store.Inspect(cmd.Context(), ref)
			if err == nil && len(files.Manifest.Layers) == 0 {
				return fmt.Errorf("%s: the artifact has no files", args[0])
			}
			if err == nil {
				err = store.Extract(cmd.Context(), ref, args[1], &o)
			}
			return noArtifact(args[0], err)
		},
	}
	cmd.Flags().StringVar(&o.Digest, "digest", "", "only the file of this `DIGEST`")
	cmd.Flags().StringVar(&o.Title, "title", "", "only the file of this `NAME`")
	cmd.MarkFlagsMutuallyExclusive("digest", "title")
	return cmd
}

// extract writes the files of an artifact into a directory. The library would open them there by
// name, and write to whatever lies under that name: a link that a container has put into a
// directory that it shares would lead anywhere.
func extract(ctx context.Context, store *libartifact.ArtifactStore, ref libartifact.ArtifactStoreReference, dir string, o *libartifacttypes.ExtractOptions) error {
	from, to := io.Pipe()
	go func() { to.CloseWithError(store.ExtractTarStream(ctx, to, ref, o)) }()
	defer from.Close() // which ends the writer
	return unpack(dir, from)
}

// unpack puts the files of an archive into a directory, each aside first: what lies under its name is
// replaced, and never followed.
func unpack(dir string, archive io.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(archive); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		aside := ".podunit-" + rand.Text()
		f, err := root.OpenFile(aside, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		if err = errors.Join(err, f.Close()); err == nil {
			err = root.Rename(aside, h.Name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, errors.Join(err, root.Remove(aside)))
		}
	}
}
