// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewReload makes podunit network reload.
func NewReload(e *cli.Env) *cobra.Command {
	var all, latest bool
	cmd := &cobra.Command{
		Use:   "reload [flags] CONTAINER...",
		Short: "Make the rules of the firewall again that somebody flushed",
		Long: `Make the links and the rules of the firewall of running containers on named networks again. It is for root: a
user's networks are in a namespace of their own, which nobody flushes.`,
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			if e.User.Rootless() {
				return errors.New("network reload is for root; systemctl --user restart podunit-netns.service makes all links of this user again")
			}
			if all && (latest || len(args) > 0) || latest && len(args) > 0 || !all && !latest && len(args) == 0 {
				return errors.New("network reload wants containers, or --latest, or --all")
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			if latest {
				records, err := (&cli.Selection{Latest: true}).Resolve(x, nil)
				if err != nil {
					return err
				}
				for _, r := range records {
					args = append(args, r.Name)
				}
			}
			ids, err := x.ReloadNetworks(cmd.Context(), args)
			for _, id := range ids {
				fmt.Fprintln(e.Stdout, id)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "all containers that run")
	cmd.Flags().BoolVarP(&latest, "latest", "l", false, "of the container made last")
	return cmd
}
