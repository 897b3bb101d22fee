// SPDX-License-Identifier: Apache-2.0

package container

import (
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewFault makes podunit fault, which the unit of a faulty file runs in the place of a container: it
// says what is wrong, where people look, and fails.
func NewFault(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use:    "fault MESSAGE...",
		Short:  "Say what is wrong with a unit file, and fail",
		Hidden: true,
		Args:   cli.WantArgs(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			e.Say(args...)
			e.Status(strings.SplitN(args[0], "\n", 2)[0])
			return cli.ExitStatus(1)
		},
	}
}
