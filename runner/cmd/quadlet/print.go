// SPDX-License-Identifier: Apache-2.0

package quadlet

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewPrint makes podunit quadlet print.
func NewPrint(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "print NAME",
		Aliases:           []string{"cat"},
		Short:             "Show a unit file",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: complete(e),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := openStore(e)
			if err != nil {
				return err
			}
			data, _, err := s.Read(args[0])
			if err != nil {
				return err
			}
			_, err = e.Stdout.Write(data)
			return err
		},
	}
}
