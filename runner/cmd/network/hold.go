// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewHold makes podunit network hold, the ExecStart= of podunit-netns.service.
func NewHold(e *cli.Env) *cobra.Command {
	return ofUnit(e, "hold", "Make the network namespace of the user's networks", (*service.Engine).HoldNetworks)
}

// exitOnce is the exit status of a start that the manager does not repeat: podunit-netns.service has it in
// RestartPreventExitStatus=. For podunit-dns.service that would have no effect, as the manager looks only at the status of
// the main process, and with Type=forking ours is not that one. Source: systemd.service(5).
const exitOnce = 3

// ofUnit makes a hidden verb that only a unit executes.
func ofUnit(e *cli.Env, name, short string, do func(*service.Engine, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:    name,
		Short:  short,
		Hidden: true,
		Args:   cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			err = do(x, cmd.Context())
			if once := (service.OnlyOnce{}); errors.As(err, &once) {
				return cli.WithStatus(err, exitOnce)
			}
			return err
		},
	}
}
