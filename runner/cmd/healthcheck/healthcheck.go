// SPDX-License-Identifier: Apache-2.0

// Package healthcheck holds the verbs of podunit healthcheck, a file for each.
package healthcheck

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// New makes podunit healthcheck.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("healthcheck", "Check the health of containers", NewRun(e))
}
