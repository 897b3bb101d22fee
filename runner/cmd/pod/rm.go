// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/pod"
	"github.com/spf13/cobra"
)

// NewRm makes podunit pod rm.
func NewRm(e *cli.Env) *cobra.Command {
	var files []string
	var last bool
	var all, force, ignore bool
	var timeout cli.StopTimeout
	cmd := &cobra.Command{
		Use:   "rm [flags] POD...",
		Short: "Remove pods",
		Long: `Remove pods and the containers in them, which must have ended.

Exit status: 0 done, 1 a pod isn't there, 2 a container in it runs, 125 another error.`,
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			x, err := e.OpenToRun(ctx)
			if err != nil {
				return err
			}
			if last {
				if args, err = latest(x, args, all || len(files) > 0); err != nil {
					return err
				}
			}
			// In a unit, too: ExecStopPost= completes what a killed ExecStop= has begun.
			if err := x.Pods.Sweep(ctx); err != nil {
				e.Warn(fmt.Sprintf("remains of pods: %v", err))
			}
			pods, names, err := resolve(x, args, files, all, ignore, force)
			d := timeout.Or(pod.OwnTimes)
			err = cli.ForEach(e, pods, err, names.of, func(p pod.Record) error { return x.RemovePod(ctx, p, force, d) })
			return cli.Removed(err,
				func(err error) bool { return errors.Is(err, pod.ErrNotFound) },
				func(err error) bool { return errors.As(err, new(pod.RunningError)) })
		},
	}
	cmd.Flags().StringArrayVar(&files, "pod-id-file", nil, "read the ID of a pod from `FILE`")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "remove all pods")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "stop a running pod first and remove its containers")
	cmd.Flags().BoolVarP(&ignore, "ignore", "i", false, "a pod that does not exist is no error")
	timeout.Flag(cmd)
	latestFlag(cmd, &last)
	return cmd
}
