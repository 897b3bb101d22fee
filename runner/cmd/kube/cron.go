// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/kube/served"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/spf13/cobra"
)

// newCron makes the verb that the timer of a CronJob executes.
func newCron(e *cli.Env) *cobra.Command {
	return served.Served(e, "cron PLAY POD", "For timers of kube play: begin a run of a CronJob", 2, 2, func(ctx context.Context, p *play.Player, args []string) error {
		return p.Cron(ctx, args[0], args[1])
	})
}
