// SPDX-License-Identifier: Apache-2.0

package network

import (
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/spec"
	"github.com/spf13/cobra"
)

// NewConnect makes podunit network connect.
func NewConnect(e *cli.Env) *cobra.Command {
	var ip, ip6, mac string
	var aliases []string
	cmd := &cobra.Command{
		Use:   "connect [flags] NETWORK CONTAINER",
		Short: "Connect a container to one more network",
		Long: `Connect a container that is on named networks to one more: at once if it runs, and for its later starts. A
container that a unit makes anew at each start has the networks of its file then.`,
		Args:              cli.WantArgs(2, 2),
		ValidArgsFunction: cli.CompleteNetworks(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			n := spec.Network{Mode: spec.NetNamed, Name: args[0]}
			for _, o := range []struct{ key, value string }{{"ip", ip}, {"ip6", ip6}, {"mac", mac}} {
				if o.value != "" {
					n.Options = append(n.Options, o.key+"="+o.value)
				}
			}
			for _, a := range aliases {
				n.Options = append(n.Options, "alias="+a)
			}
			if _, err := n.Endpoint(); err != nil {
				return err
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			r, err := x.Find(args[1])
			if err != nil {
				return err
			}
			return x.ConnectNetwork(cmd.Context(), r, n)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&aliases, "alias", nil, "another `NAME` on the network")
	f.StringVar(&ip, "ip", "", "IPv4 `ADDRESS` on the network")
	f.StringVar(&ip6, "ip6", "", "IPv6 `ADDRESS` on the network")
	f.StringVar(&mac, "mac-address", "", "`MAC` address on the network")
	return cmd
}
