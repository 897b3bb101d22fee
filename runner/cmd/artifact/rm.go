// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/image"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/libartifact"
	libartifacttypes "go.podman.io/common/pkg/libartifact/types"
)

// NewRm makes podunit artifact rm.
func NewRm(e *cli.Env) *cobra.Command {
	var all, ignore bool
	cmd := &cobra.Command{
		Use:               "rm [flags] ARTIFACT...",
		ValidArgsFunction: complete(e),
		Aliases:           []string{"remove"},
		Short:             "Remove artifacts from the storage",
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("artifact rm wants artifacts, or --all")
			}
			im, err := image.Open(cmd.Context(), e)
			if err != nil {
				return err
			}
			return im.ChangeArtifacts(func(store *libartifact.ArtifactStore) error {
				if all {
					list, err := store.List(cmd.Context())
					if err != nil {
						return err
					}
					for _, a := range list {
						args = append(args, a.Digest.Encoded())
					}
				}
				return remove(cmd.Context(), e, store, args, ignore)
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all artifacts")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "an artifact that isn't there is no error")
	return cmd
}

// remove removes artifacts, and prints their digests; those that are not there are no error where
// they are to be ignored.
func remove(ctx context.Context, e *cli.Env, store *libartifact.ArtifactStore, names []string, ignore bool) error {
	var faults []error
	for _, name := range names {
		ref, err := stored(name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		d, err := store.Remove(ctx, ref)
		switch {
		case err == nil:
			fmt.Fprintln(e.Stdout, d.Encoded())
		case !ignore || !errors.Is(err, libartifacttypes.ErrArtifactNotExist):
			faults = append(faults, noArtifact(name, err))
		}
	}
	return errors.Join(faults...)
}
