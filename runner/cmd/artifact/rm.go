// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
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
