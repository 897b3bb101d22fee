// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/spf13/cobra"
)

// NewExists makes podunit network exists.
func NewExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists NETWORK",
		Short:             "Tell by the exit status whether a network exists",
		Long:              "Exit status: 0 it is there, 1 it isn't, 125 an error.",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteNetworks(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			_, err = x.Networks().Get(args[0])
			if errors.As(err, &netavark.NotFoundError{}) {
				return cli.ExitStatus(exitUnknown)
			}
			return err
		},
	}
}
