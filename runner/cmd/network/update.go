// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/spf13/cobra"
)

// NewUpdate makes podunit network update.
func NewUpdate(e *cli.Env) *cobra.Command {
	var add, drop []string
	cmd := &cobra.Command{
		Use:   "update [flags] NETWORK",
		Short: "Change the name servers of a network",
		Long: `Change whom the name server of a network asks for names that it does not know itself: at once for containers that
run, and for later ones. One that a .network unit makes has the servers of its file again when it is made anew.`,
		Args:              cli.WantArgs(1, 1),
		ValidArgsFunction: cli.CompleteNetworks(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(add)+len(drop) == 0 {
				return errors.New("network update wants --dns-add or --dns-drop")
			}
			more, err := addresses("--dns-add", add)
			if err != nil {
				return err
			}
			less, err := addresses("--dns-drop", drop)
			if err != nil {
				return err
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			n, err := x.Networks().Get(args[0])
			if err != nil {
				return err
			}
			if err := x.UpdateNetwork(cmd.Context(), n.Name, more, less); err != nil {
				return err
			}
			_, err = fmt.Fprintln(e.Stdout, n.Name)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&add, "dns-add", nil, "`IP` of a server that the network's name server asks from now on")
	cmd.Flags().StringArrayVar(&drop, "dns-drop", nil, "`IP` of a server that it asks no more")
	return cmd
}
