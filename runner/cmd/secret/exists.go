// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/secret"
	"github.com/spf13/cobra"
)

// exitUnknown is the exit status of secret exists. Source: podman-secret-exists(1).
const exitUnknown = 1

// NewExists makes podunit secret exists.
func NewExists(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:               "exists SECRET",
		Short:             "Tell by the exit status whether a secret exists",
		Long:              "Exit status: 0 it is there, 1 it isn't, 125 an error.",
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteSecrets(e),
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := e.Secrets()
			if err != nil {
				return err
			}
			if _, err = s.Lookup(args[0]); errors.Is(err, secret.ErrNotFound) {
				return cli.ExitStatus(exitUnknown)
			}
			return err
		},
	}
}
