// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// NewExists makes podunit pod exists.
func NewExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists POD",
		Short:             "Tell by the exit status whether a pod exists: 0 or 1",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			if _, err = x.Pods.Lookup(args[0]); errors.Is(err, pod.ErrNotFound) {
				return cli.ExitStatus(1)
			}
			return err
		},
	}
}
