// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/format"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewInspect makes podunit pod inspect.
func NewInspect(e *cli.Env) *cobra.Command {
	var out string
	var last bool
	cmd := &cobra.Command{
		Use:               "inspect [flags] POD...",
		Short:             "Show all there is to know about pods",
		Args:              cli.WantArgs(0, -1),
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			if last {
				if args, err = latest(x, args, false); err != nil {
					return err
				}
			}
			pods, _, err := resolve(x, args, nil, false, false, false)
			errs := []error{err}
			var all []view.Pod
			for _, p := range pods {
				one, err := view.InspectPod(x, p)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				all = append(all, one)
			}
			err = errors.Join(errs...)
			if len(all) > 0 || err == nil || out == "" || format.IsJSON(out) {
				err = errors.Join(err, format.Each(e.Stdout, out, all))
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&out, "format", "f", "", "Go `TEMPLATE`, or json")
	latestFlag(cmd, &last)
	return cmd
}
