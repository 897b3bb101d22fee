// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// NewRm makes podunit pod rm.
func NewRm(e *cli.Env) *cobra.Command {
	var all, force, ignore bool
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:               "rm [flags] POD...",
		Short:             "Remove pods",
		ValidArgsFunction: cli.CompletePods(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.OpenToRun(ctx)
			if err != nil {
				return err
			}
			pods, err := resolve(x, args, all, ignore, force)
			d := timeout.Or(pod.OwnTimes)
			return cli.ForEach(e, pods, err, podName, func(p pod.Record) error { return x.RemovePod(ctx, p, force, d) })
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "remove all pods")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop a running pod first and remove its containers")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "a pod that does not exist is no error")
	timeout.Flag(cmd)
	return cmd
}
