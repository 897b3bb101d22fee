// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/spf13/cobra"
)

// NewStart makes podunit pod start.
func NewStart(e *cli.Env) *cobra.Command {
	var files []string
	var last bool
	var all bool
	cmd := &cobra.Command{
		Use:               "start [flags] POD...",
		Short:             "Start pods and the containers that were created in them",
		ValidArgsFunction: cli.CompletePods(e, cli.EndedOnly),
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
			pods, names, err := resolve(x, args, files, all, false, false)
			errs := []error{err}
			player := play.New(x)
			for _, p := range pods {
				played, err := player.StartPod(ctx, p)
				if err == nil && !played {
					err = x.StartPod(ctx, p)
				}
				if err != nil {
					errs = append(errs, err)
					continue
				}
				errs = append(errs, x.StartMembers(ctx, p))
				if !x.InService() {
					fmt.Fprintln(e.Stdout, names.of(p))
				}
			}
			return errors.Join(errs...)
		},
	}
	cmd.Flags().StringArrayVar(&files, "pod-id-file", nil, "read the ID of a pod from `FILE`")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "start all pods")
	latestFlag(cmd, &last)
	return cmd
}
