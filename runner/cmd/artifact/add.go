// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
	libartifacttypes "go.podman.io/common/pkg/libartifact/types"
)

// NewAdd makes podunit artifact add.
func NewAdd(e *cli.Env) *cobra.Command {
	var o libartifacttypes.AddOptions
	var annotations []string
	cmd := &cobra.Command{
		Use:     "add [flags] ARTIFACT FILE...",
		Short:   "Make an artifact of files",
		Example: "  podunit artifact add registry.example/model:1 model.gguf",
		Args:    cli.WantArgs(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Annotations, err = cli.Assignments("--annotation", annotations, true); err != nil {
				return err
			}
			ref, err := libartifact.NewArtifactReference(args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			var files []libartifacttypes.ArtifactBlob
			for _, path := range args[1:] {
				files = append(files, libartifacttypes.ArtifactBlob{BlobFilePath: path, FileName: filepath.Base(path)})
			}
			var d *digest.Digest
			err = im.ChangeArtifacts(func(store *libartifact.ArtifactStore) (err error) {
				d, err = store.Add(cmd.Context(), ref, files, &o)
				return err
			})
			if errors.Is(err, libartifacttypes.ErrArtifactAlreadyExists) {
				return hint.With(err, "--append adds to it, --replace makes it anew")
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Stdout, d.Encoded())
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&annotations, "annotation", nil, "`KEY=VALUE` of the artifact")
	f.BoolVarP(&o.Append, "append", "a", false, "add the files to an artifact that is there")
	f.BoolVar(&o.Replace, "replace", false, "remove an artifact of the name first")
	f.StringVar(&o.FileMIMEType, "file-type", "", "media `TYPE` of the files instead of the one they look like")
	f.StringVar(&o.ArtifactMIMEType, "type", "", "media `TYPE` of the artifact")
	cmd.MarkFlagsMutuallyExclusive("append", "replace")
	cmd.MarkFlagsMutuallyExclusive("append", "type")
	return cli.Waits(cmd)
}
