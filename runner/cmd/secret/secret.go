// SPDX-License-Identifier: Apache-2.0

// Package secret holds the verbs of podunit secret, a file for each.
package secret

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// New makes podunit secret.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("secret", "Manage secrets",
		NewCreate(e),
		NewExists(e),
		NewInspect(e),
		NewLs(e),
		NewRm(e),
	)
}
