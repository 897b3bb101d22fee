// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewHold makes podunit network hold, the ExecStart= of podunit-netns.service.
func NewHold(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:    "hold",
		Short:  "Make the network namespace of the user's networks",
		Hidden: true,
		Args:   cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			return x.HoldNetworks(cmd.Context())
		},
	}
}
