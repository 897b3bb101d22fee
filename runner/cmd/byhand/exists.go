// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

// NewExists makes podunit container exists.
func NewExists(e *cli.Env) *cobra.Command {
	var external bool
	cmd := &cobra.Command{
		Use:               "exists [flags] CONTAINER",
		Short:             "Tell by the exit status whether a container exists: 0 or 1",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteContainers(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			_, err = x.Containers.Lookup(args[0])
			if !errors.Is(err, container.ErrNotFound) {
				return err
			}
			if external {
				if _, err := x.Containers.Store.Container(args[0]); err == nil {
					return nil
				}
			}
			return cli.ExitStatus(1)
		},
	}
	cmd.Flags().BoolVar(&external, "external", false, "also one of another tool that shares the storage")
	return cmd
}
