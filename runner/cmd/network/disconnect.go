// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

// NewDisconnect makes podunit network disconnect.
func NewDisconnect(e *cli.Env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "disconnect [flags] NETWORK CONTAINER",
		Short: "Take a container from one of its networks",
		Long: `Take a container from one of several named networks: at once if it runs, and for its later starts. A container
that a unit makes anew at each start has the networks of its file then.`,
		Args:              cli.WantArgs(2, 2),
		ValidArgsFunction: cli.CompleteNetworks(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, err := x.Find(args[1])
			if force && errors.Is(err, container.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			return x.DisconnectNetwork(cmd.Context(), r, args[0])
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "a container that isn't there is no error")
	return cmd
}
