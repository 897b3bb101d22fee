// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/container"
	"github.com/spf13/cobra"
)

// NewPodLogs makes podunit pod logs.
func NewPodLogs(e *cli.Env) *cobra.Command {
	var only string
	cmd := container.NewLogs(e)
	logs, latest := cmd.RunE, false
	cmd.Use, cmd.Short, cmd.Example = "logs [flags] POD", "Show what the containers of a pod wrote", "  podunit pod logs -f --container web shop"
	cmd.ValidArgsFunction = cli.CompletePods(e, cli.Whatever)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if latest, _ = cmd.Flags().GetBool("latest"); latest {
			_ = cmd.Flags().Set("latest", "false") // it is the pod that is the latest
		}
		x, err := e.Open(cmd.Context())
		if err != nil {
			return err
		}
		pods, err := (&podSelection{latest: latest}).resolve(x, args)
		if err != nil {
			return err
		}
		if len(pods) != 1 {
			return fmt.Errorf("logs shows those of one pod, these are %d", len(pods))
		}
		members, err := x.Pods.Members(pods[0])
		if err != nil {
			return err
		}
		var ids []string
		for _, r := range members {
			if only == "" || only == r.Name || only == r.ID {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) == 0 && only != "" {
			return fmt.Errorf("container %s is not in pod %s", only, pods[0].Name)
		}
		if len(ids) == 0 {
			return nil
		}
		return logs(cmd, ids)
	}
	cmd.Flags().StringVarP(&only, "container", "c", "", "only those of `CONTAINER`")
	return cmd
}
