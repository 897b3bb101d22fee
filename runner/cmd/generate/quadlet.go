// SPDX-License-Identifier: Apache-2.0

package generate

import (
	"fmt"
	"strings"

	src "github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/export"
	"github.com/spf13/cobra"
)

// NewQuadlet makes podunit generate quadlet.
func NewQuadlet(e *cli.Env) *cobra.Command {
	var files, install bool
	cmd := &cobra.Command{
		Use:               "quadlet [flags] NAME...",
		ValidArgsFunction: cli.CompleteAny(cli.CompleteContainers(e, cli.Whatever), cli.CompletePods(e, cli.Whatever)),
		Short:             "Write unit files that make containers and pods again",
		Long: `Write unit files that make containers and pods again.

What a shell made becomes .container and .pod files of the same command lines; what kube play made
becomes a .kube file and its YAML.`,
		Example: "  podunit generate quadlet media\n  podunit generate quadlet --install media",
		Args:    cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			from, err := find(x, args)
			if err != nil {
				return err
			}
			out, err := export.Quadlet(from.containers, from.pods, from.plays)
			if err != nil {
				return err
			}
			switch {
			case install:
				dir, err := src.Search{User: e.User.UID != 0, UID: e.User.UID, Getenv: e.Getenv}.InstallDir()
				if err != nil {
					return err
				}
				if err := write(e, dir, out, false); err != nil {
					return err
				}
				takeOver(e, from)
				return reload(cmd.Context(), e)
			case files:
				return write(e, e.Host().Dir, out, true)
			}
			print(e, out)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&files, "files", "f", false, "write files into the working directory, and print their paths")
	f.BoolVar(&install, "install", false, "write files where systemd finds them, and have it read them")
	return cmd
}

// takeOver prints how the units can take the place of the containers that run.
func takeOver(e *cli.Env, from source) {
	scope := ""
	if e.User.UID != 0 {
		scope = "--user "
	}
	var rm, start []string
	for _, p := range from.pods {
		rm = append(rm, "podunit pod rm -f "+p.Name)
		start = append(start, p.Name+"-pod")
		for _, c := range p.Containers {
			start = append(start, c.Name)
		}
	}
	for _, c := range from.containers {
		rm = append(rm, "podunit rm -f "+c.Name)
		start = append(start, c.Name)
	}
	for _, p := range from.plays {
		start = append(start, p.Name)
	}
	steps := append(rm, "systemctl "+scope+"start "+strings.Join(start, " "))
	fmt.Fprintf(e.Stderr, "podunit: to have the units take over: %s\n", strings.Join(steps, " && "))
}
