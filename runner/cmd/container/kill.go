// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/signal"
)

// NewKill makes podunit kill.
func NewKill(e *cli.Env) *cobra.Command {
	var sel cli.Selection
	var name string
	cmd := &cobra.Command{
		Use:               "kill [flags] CONTAINER...",
		Short:             "Send a signal to the first process of containers",
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := signal.ParseSignalNameOrNumber(name)
			if err != nil {
				return hint.With(fmt.Errorf("invalid signal: %s", name), "write a name or a number, such as --signal HUP")
			}
			if sig < 1 || sig > 64 {
				return errors.New("valid signals are 1 through 64")
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			sel.Running = true // of all, those that do not run get no signal
			records, err := sel.Resolve(x, args)
			return cli.ForEach(e, records, err, sel.Given, func(r container.Record) error { return x.Containers.Kill(r, sig) })
		},
	}
	sel.Flags(cmd, "Signal")
	cmd.Flags().StringVarP(&name, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
	_ = cmd.Flags().MarkHidden("ignore")
	return cmd
}
