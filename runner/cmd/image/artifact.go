// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/safe"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
	libartifacttypes "go.podman.io/common/pkg/libartifact/types"
)

// NewArtifact makes podunit artifact.
func NewArtifact(e *cli.Env) *cobra.Command {
	return cli.Group("artifact", "Manage OCI artifacts: files that a registry keeps",
		newArtifactAdd(e), newArtifactExtract(e), newArtifactInspect(e), newArtifactLs(e), newArtifactPull(e), newArtifactPush(e), newArtifactRm(e))
}

// artifacts opens the store of artifacts.
func artifacts(ctx context.Context, e *cli.Env) (*libartifact.ArtifactStore, error) {
	im, err := open(ctx, e)
	if err != nil {
		return nil, err
	}
	return im.Artifacts()
}

// stored is what a name, or the beginning of a digest, means in the store.
func stored(name string) (libartifact.ArtifactStoreReference, error) {
	ref, err := libartifact.NewArtifactStorageReference(name)
	if err != nil {
		return ref, fmt.Errorf("%s: %w", name, err)
	}
	return ref, nil
}

// find opens the store for what a name means in it.
func find(ctx context.Context, e *cli.Env, name string) (*libartifact.ArtifactStore, libartifact.ArtifactStoreReference, error) {
	ref, err := stored(name)
	if err != nil {
		return nil, ref, err
	}
	store, err := artifacts(ctx, e)
	return store, ref, err
}

// noArtifact gives the error of an artifact that is not there the way out.
func noArtifact(name string, err error) error {
	if errors.Is(err, libartifacttypes.ErrArtifactNotExist) {
		return hint.With(fmt.Errorf("%s: %w", name, err), "podunit artifact ls lists them")
	}
	return err
}

func newArtifactPull(e *cli.Env) *cobra.Command {
	var flags sendFlags
	var keys []string
	cmd := &cobra.Command{
		Use:     "pull [flags] ARTIFACT",
		Short:   "Pull an artifact from a registry",
		Example: "  podunit artifact pull quay.io/example/model:latest",
		Args:    cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.options(e)
			if err != nil {
				return err
			}
			o.DecryptionKeys = keys
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.PullArtifact(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Stdout, id)
			return err
		},
	}
	flags.registerRegistry(cmd)
	cmd.Flags().StringArrayVar(&keys, "decryption-key", nil, "private `KEY[:PASSPHRASE]` for encrypted blobs")
	return cmd
}

func newArtifactPush(e *cli.Env) *cobra.Command {
	var flags sendFlags
	cmd := &cobra.Command{
		Use:   "push [flags] ARTIFACT",
		Short: "Push an artifact to the registry that its name says",
		Args:  cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.options(e)
			if err != nil {
				return err
			}
			im, err := open(cmd.Context(), e)
			if err != nil {
				return err
			}
			id, err := im.PushArtifact(cmd.Context(), args[0], o)
			if err != nil {
				return noArtifact(args[0], err)
			}
			if flags.digestFile != "" {
				if err := safe.Replace(flags.digestFile, []byte("sha256:"+id), 0o644); err != nil {
					return err
				}
			}
			_, err = fmt.Fprintln(e.Stdout, id)
			return err
		},
	}
	flags.registerRegistry(cmd)
	flags.registerSigning()
	return cmd
}

func newArtifactAdd(e *cli.Env) *cobra.Command {
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
			store, err := artifacts(cmd.Context(), e)
			if err != nil {
				return err
			}
			var files []libartifacttypes.ArtifactBlob
			for _, path := range args[1:] {
				files = append(files, libartifacttypes.ArtifactBlob{BlobFilePath: path, FileName: filepath.Base(path)})
			}
			d, err := store.Add(cmd.Context(), ref, files, &o)
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
	return cmd
}

func newArtifactExtract(e *cli.Env) *cobra.Command {
	var o libartifacttypes.ExtractOptions
	cmd := &cobra.Command{
		Use:   "extract [flags] ARTIFACT PATH",
		Short: "Write the files of an artifact to a file or a directory",
		Args:  cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, ref, err := find(cmd.Context(), e, args[0])
			if err != nil {
				return err
			}
			return noArtifact(args[0], store.Extract(cmd.Context(), ref, args[1], &o))
		},
	}
	cmd.Flags().StringVar(&o.Digest, "digest", "", "only the file of this `DIGEST`")
	cmd.Flags().StringVar(&o.Title, "title", "", "only the file of this `NAME`")
	cmd.MarkFlagsMutuallyExclusive("digest", "title")
	return cmd
}

func newArtifactInspect(e *cli.Env) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "inspect [flags] ARTIFACT",
		Short: "Show all there is to know of an artifact",
		Args:  cli.WantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, ref, err := find(cmd.Context(), e, args[0])
			if err != nil {
				return err
			}
			a, err := store.Inspect(cmd.Context(), ref)
			if err != nil {
				return noArtifact(args[0], err)
			}
			if out == "" || format.IsJSON(out) {
				return format.JSON(e.Stdout, a)
			}
			return format.Each(e.Stdout, out, []*libartifact.Artifact{a})
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	return cmd
}

// artifactRow is a row of artifact ls; the names of fields are podman's.
type artifactRow struct {
	Repository, Tag, Digest, Size string
}

func newArtifactLs(e *cli.Env) *cobra.Command {
	var noTrunc, noHeading, quiet bool
	var out string
	cmd := &cobra.Command{
		Use:     "ls [flags]",
		Aliases: []string{"list"},
		Short:   "List artifacts in the storage",
		Args:    cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := artifacts(cmd.Context(), e)
			if err != nil {
				return err
			}
			all, err := store.List(cmd.Context())
			if err != nil {
				return err
			}
			rows := []artifactRow{}
			for _, a := range all {
				rows = append(rows, artifactRowOf(a, noTrunc))
			}
			switch {
			case quiet:
				for _, r := range rows {
					fmt.Fprintln(e.Stdout, r.Digest)
				}
				return nil
			case format.IsJSON(out):
				return format.JSON(e.Stdout, rows)
			}
			return format.Rows(e.Stdout, format.Table{Format: out, Default: "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.Size}}", NoHeading: noHeading}, rows)
		},
	}
	cmd.Flags().BoolVar(&noTrunc, "no-trunc", false, "whole digests")
	cmd.Flags().BoolVarP(&noHeading, "noheading", "n", false, "no line of headings")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only digests")
	cmd.Flags().StringVar(&out, "format", "", "Go `TEMPLATE`, table TEMPLATE, or json")
	return cmd
}

func artifactRowOf(a *libartifact.Artifact, noTrunc bool) artifactRow {
	r := artifactRow{Repository: a.Name, Digest: a.Digest.Encoded(), Size: units.HumanSizeWithPrecision(float64(a.TotalSizeBytes()), 3)}
	if at := strings.LastIndex(a.Name, ":"); at > strings.LastIndex(a.Name, "/") {
		r.Repository, r.Tag = a.Name[:at], a.Name[at+1:]
	}
	if !noTrunc {
		r.Digest = r.Digest[:min(12, len(r.Digest))]
	}
	return r
}

func newArtifactRm(e *cli.Env) *cobra.Command {
	var all, ignore bool
	cmd := &cobra.Command{
		Use:     "rm [flags] ARTIFACT...",
		Aliases: []string{"remove"},
		Short:   "Remove artifacts from the storage",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("artifact rm wants artifacts, or --all")
			}
			store, err := artifacts(cmd.Context(), e)
			if err != nil {
				return err
			}
			if all {
				list, err := store.List(cmd.Context())
				if err != nil {
					return err
				}
				for _, a := range list {
					args = append(args, a.Digest.Encoded())
				}
			}
			var faults []error
			for _, name := range args {
				ref, err := stored(name)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				d, err := store.Remove(cmd.Context(), ref)
				switch {
				case err == nil:
					fmt.Fprintln(e.Stdout, d.Encoded())
				case !ignore || !errors.Is(err, libartifacttypes.ErrArtifactNotExist):
					faults = append(faults, noArtifact(name, err))
				}
			}
			return errors.Join(faults...)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all artifacts")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "an artifact that isn't there is no error")
	return cmd
}
