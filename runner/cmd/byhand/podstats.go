// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/container"
	of "github.com/podunit/podunit/runner/container"
	"github.com/spf13/cobra"
)

// NewPodStats makes podunit pod stats.
func NewPodStats(e *cli.Env) *cobra.Command {
	var sel podSelection
	s := container.Stats{
		Columns:  "{{.Pod}}\t{{.CID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDS}}",
		Headings: container.PodHeadings(),
		Pods:     true,
	}
	cmd := &cobra.Command{
		Use:               "stats [flags] [POD...]",
		Short:             "Show what the containers of pods use",
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !sel.latest {
				sel.all = true
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			pods, err := sel.resolve(x, args)
			if err != nil {
				return err
			}
			return s.Show(cmd.Context(), e, x, func() ([]of.Record, error) {
				var all []of.Record
				for _, p := range pods {
					members, err := running(x, p)
					if err != nil {
						return nil, err
					}
					all = append(all, members...)
				}
				return all, nil
			})
		},
	}
	sel.flags(cmd, "show those of")
	s.Flags(cmd)
	return cli.Waits(cmd)
}
