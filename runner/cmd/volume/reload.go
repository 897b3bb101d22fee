// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewReload makes podunit volume reload.
func NewReload(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Read the volumes anew, which each command does anyway",
		Long: `Take up volumes that others have made or removed. Each command reads the directory of volumes, and no plugin has any:
there is nothing to do. A directory that cannot be read is an error.`,
		Args: cli.WantArgs(0, 0),
		RunE: func(*cobra.Command, []string) error {
			v, err := open(e)
			if err == nil {
				_, err = v.List()
			}
			return err
		},
	}
}
