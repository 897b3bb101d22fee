// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewPodTop makes podunit pod top.
func NewPodTop(e *cli.Env) *cobra.Command {
	var latest bool
	cmd := &cobra.Command{
		Use:               "top [flags] POD [COLUMN...]",
		Short:             "Show the processes of the containers of a pod",
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			if !latest {
				names = args[:min(1, len(args))]
				args = args[len(names):]
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			pods, err := (&podSelection{latest: latest}).resolve(x, names)
			if err != nil {
				return err
			}
			if len(pods) == 0 {
				return errors.New("there is no pod")
			}
			members, err := running(x, pods[0])
			if err != nil {
				return err
			}
			var pids []string
			for _, r := range members {
				if s, err := x.Containers.Status(r.ID); err == nil && s.PID != 0 {
					pids = append(pids, strconv.Itoa(s.PID))
				}
			}
			if len(pids) == 0 {
				return fmt.Errorf("pod %s has no container that runs", pods[0].Name)
			}
			return Top(e, pids, args)
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVarP(&latest, "latest", "l", false, "of the pod made last")
	return cmd
}
