// SPDX-License-Identifier: Apache-2.0

// Package system holds verbs about the machine, and about objects of any kind, a file for each.
package system

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// New makes podunit system.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("system COMMAND", "Look after the machine's containers as a whole",
		NewCheck(e), NewDf(e), NewEvents(e), NewInfo(e), NewMigrate(e), NewPrune(e), NewReset(e))
}
