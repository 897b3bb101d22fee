// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
)

// NewPort makes podunit port.
func NewPort(e *cli.Env) *cobra.Command {
	var all, latest bool
	cmd := &cobra.Command{
		Use:               "port [flags] CONTAINER [PORT[/PROTOCOL]]",
		Short:             "Show which ports of the host lead to a container",
		ValidArgsFunction: cli.CompleteContainers(e, cli.RunningOnly),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && (latest || len(args) > 0) {
				return errors.New("--all, --latest and names exclude each other")
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			if all {
				records, err := x.Containers.List()
				if err != nil {
					return err
				}
				for _, r := range records {
					ports, err := view.Published(x, r)
					if err != nil {
						return err
					}
					for _, p := range ports {
						fmt.Fprintf(e.Stdout, "%s\t%s -> %s\n", r.ID[:12], p[0], p[1])
					}
				}
				return nil
			}
			r, rest, err := one(x, latest, args)
			if err != nil {
				return err
			}
			if len(rest) > 1 {
				return fmt.Errorf("port takes one port: %q", rest[1])
			}
			ports, err := view.Published(x, r)
			if err != nil {
				return err
			}
			return printPorts(e, ports, rest)
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "of all containers")
	latestFlag(cmd, &latest)
	return cmd
}

// printPorts prints all ports, or those of the host that lead to the one in asked.
func printPorts(e *cli.Env, ports [][2]string, asked []string) error {
	if len(asked) == 0 {
		for _, p := range ports {
			fmt.Fprintf(e.Stdout, "%s -> %s\n", p[0], p[1])
		}
		return nil
	}
	want := asked[0]
	if !strings.Contains(want, "/") {
		want += "/tcp"
	}
	found := false
	for _, p := range ports {
		if p[0] == want {
			found = true
			fmt.Fprintln(e.Stdout, p[1])
		}
	}
	if !found {
		return fmt.Errorf("failed to find published port %q", want)
	}
	return nil
}
