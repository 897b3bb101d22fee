// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/volume"
	"github.com/spf13/cobra"
)

// NewExists makes podunit volume exists.
func NewExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists VOLUME",
		Short:             "Tell by the exit status whether a volume exists",
		Long:              "Exit status: 0 it is there, 1 it isn't, 125 an error.",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: complete(e),
		RunE: func(_ *cobra.Command, args []string) error {
			v, err := open(e)
			if err != nil {
				return err
			}
			_, err = v.Get(args[0])
			if errors.Is(err, volume.ErrNotFound) {
				return cli.ExitStatus(exitVolumeUnknown)
			}
			return err
		},
	}
}
