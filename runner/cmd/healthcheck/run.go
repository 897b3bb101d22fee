// SPDX-License-Identifier: Apache-2.0

package healthcheck

import (
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// exitUnhealthy is the exit status of a check that did not pass. Source: podman-healthcheck-run(1).
const exitUnhealthy = 1

// NewRun makes podunit healthcheck run.
func NewRun(e *cli.Env) *cobra.Command {
	var ignore, timer, clock bool
	cmd := &cobra.Command{
		Use:   "run [flags] CONTAINER",
		Short: "Run the health check of a container now",
		Long: `Run the health check of a container now, as its timer does: the result counts.

Exit status: 0 it passed; 1 it did not, and the word is printed: unhealthy, starting (its failures do
not count yet) or stopped; 125 there is no check, or the container does not run.`,
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timer || clock {
				c, err := e.Service()
				if err != nil {
					return err
				}
				id, _, _ := strings.Cut(args[0], ".")
				defer e.HealAfter(cmd.Context(), c, id)
				if timer {
					return service.RunForTimer(cmd.Context(), c, id)
				}
				return service.RunForClock(cmd.Context(), c, args[0], e.Stdout)
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, err := x.Find(args[0])
			if err != nil {
				return err
			}
			outcome, err := x.CheckByHand(cmd.Context(), r)
			if err != nil || outcome == health.Healthy {
				return err
			}
			fmt.Fprintln(e.Stdout, outcome)
			if ignore {
				return nil
			}
			return cli.ExitStatus(exitUnhealthy)
		},
	}
	cmd.Flags().BoolVar(&ignore, "ignore-result", false, "exit with 0 also if it does not pass")
	cmd.Flags().BoolVar(&timer, "timer", false, "say nothing; CONTAINER is a whole ID")
	cmd.Flags().BoolVar(&clock, "clock", false, "say only when to come again, in milliseconds; CONTAINER is a whole ID, a dot and the clock's number")
	_ = cmd.Flags().MarkHidden("timer")
	_ = cmd.Flags().MarkHidden("clock")
	return cmd
}
