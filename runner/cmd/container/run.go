// SPDX-License-Identifier: Apache-2.0

// Package container holds the verbs of a container's life, a file for each.
package container

import (
	"context"
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
)

// NewRun makes podunit run.
func NewRun(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [COMMAND [ARG...]]",
		Short: "Create a container and start it",
		Long: `Create a container and start it.

In a systemd service the container's first process becomes the service's main process
and podunit is gone. From a shell, -d makes a transient service of it, with --restart as
its Restart=; without -d the container is attached to the terminal.

Exit status: the container's; 125 if podunit is at fault, 126 if the command cannot be
executed, 127 if it cannot be found.`,
		Example:           "  podunit run --rm -it docker.io/library/busybox sh\n  podunit run -d --name web -p 8080:80 docker.io/library/nginx",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteImages(e)),
	}
	flags := spec.ContainerFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.Container(args, e.Host())
		if err != nil {
			return err
		}
		// From a shell there is no READY to wait for unless it was asked for.
		if flags.Defaulted("sdnotify") {
			if _, inUnit := e.Lookup(notify.Env); !inUnit {
				c.SdNotify = "conmon"
			}
		}
		return run(cmd.Context(), e, c)
	}
	return cmd
}

// run runs a container: in a service it becomes the service's container, elsewhere it makes
// a service, or stays attached.
func run(ctx context.Context, e *cli.Env, c *spec.Container) error {
	if unit.RestartFor(c.Restart.Policy) != "no" && !c.Detach {
		return hint.With(fmt.Errorf("--restart %s without --detach: nobody would be there to start it again", c.Restart.Policy), "add -d, and follow it with podunit logs -f")
	}
	x, err := e.OpenToStart(ctx)
	if err != nil {
		return err
	}
	r, code, err := x.Run(ctx, c, os.Args)
	if err := cli.Ended(code, err); err != nil {
		return err
	}
	if c.Detach && !x.InService() {
		fmt.Fprintln(e.Stdout, r.ID)
	}
	return nil
}
