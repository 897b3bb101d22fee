// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newRunCommand(e *env) *cobra.Command {
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
		ValidArgsFunction: completeImages(e),
	}
	flags := spec.ContainerFlags(cmd.Flags())
	cmd.SetFlagErrorFunc(flagError)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.Container(args, e.host())
		if err != nil {
			return err
		}
		// From a shell there is no READY to wait for unless it was asked for.
		if flags.Defaulted("sdnotify") {
			if _, inUnit := e.lookup(notify.Env); !inUnit {
				c.SdNotify = "conmon"
			}
		}
		return e.run(cmd.Context(), c)
	}
	return cmd
}

// run is the verb: in a service it becomes the service's container, elsewhere it makes
// a service, or stays attached.
func (e *env) run(ctx context.Context, c *spec.Container) error {
	if c.TTY && !c.Detach && !term.IsTerminal(int(os.Stdin.Fd())) {
		return errors.New("--tty needs a terminal, and our input is none; leave --tty out")
	}
	if unit.RestartFor(c.Restart.Policy) != "no" && !c.Detach {
		return hint.With(fmt.Errorf("--restart %s without --detach: nobody would be there to start it again", c.Restart.Policy), "add -d, and follow it with podunit logs -f")
	}
	x, err := e.openToStart(ctx)
	if err != nil {
		return err
	}
	r, code, err := x.Run(ctx, c, os.Args)
	switch {
	case err != nil:
		return commandFault(err)
	case code != 0:
		return exitStatus(code)
	case c.Detach && !x.InService():
		fmt.Fprintln(e.stdout, r.ID)
	}
	return nil
}
