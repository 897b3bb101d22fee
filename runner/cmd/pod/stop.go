// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// NewStop makes podunit pod stop.
func NewStop(e *cli.Env) *cobra.Command {
	var files []string
	var last bool
	var all, ignore bool
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:               "stop [flags] POD...",
		Short:             "Stop pods and their containers",
		ValidArgsFunction: cli.CompletePods(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.Open(ctx)
			if err != nil {
				return err
			}
			if last {
				if args, err = latest(x, args, all || len(files) > 0); err != nil {
					return err
				}
			}
			pods, names, err := resolve(x, args, files, all, ignore, false)
			d := timeout.Or(pod.OwnTimes)
			return cli.ForEach(e, pods, err, names.of, func(p pod.Record) error { return x.StopPod(ctx, p, d) })
		},
	}
	cmd.Flags().StringArrayVar(&files, "pod-id-file", nil, "read the ID of a pod from `FILE`")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "stop all pods")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "a pod that does not exist is no error")
	timeout.Flag(cmd)
	latestFlag(cmd, &last)
	return cmd
}
