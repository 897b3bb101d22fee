// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewNames makes podunit network names, the ExecStart= of podunit-dns.service.
func NewNames(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:    "names",
		Short:  "Serve the names of containers on networks",
		Hidden: true,
		Args:   cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			return x.ServeNames(cmd.Context())
		},
	}
}
