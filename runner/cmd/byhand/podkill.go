// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/signal"
)

// NewPodKill makes podunit pod kill.
func NewPodKill(e *cli.Env) *cobra.Command {
	var name string
	cmd := podVerb(e, "kill", "Send a signal to the first processes of the containers of pods", func(_ context.Context, x *service.Engine, p pod.Record) error {
		sig, err := signal.ParseSignalNameOrNumber(name)
		if err != nil {
			return fmt.Errorf("--signal %q is no signal; write a name or a number, such as --signal HUP", name)
		}
		members, err := running(x, p)
		errs := []error{err}
		for _, r := range members {
			errs = append(errs, x.Containers.Kill(r, sig))
		}
		return errors.Join(errs...)
	})
	cmd.Flags().StringVarP(&name, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
	return cmd
}
