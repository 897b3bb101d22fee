// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// NewPodRestart makes podunit pod restart.
func NewPodRestart(e *cli.Env) *cobra.Command {
	return podVerb(e, "restart", "Restart pods through their units", func(ctx context.Context, x *service.Engine, p pod.Record) error {
		if played, err := play.New(x).RestartPod(ctx, p); played || err != nil {
			return err
		}
		return x.RestartPod(ctx, p)
	})
}
