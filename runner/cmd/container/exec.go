// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"os"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/runc"
	"github.com/spf13/cobra"
)

// exitNoSession is the exit status of a command that could not be begun for want of a container that
// runs, or of its user. Source: seen with Podman 5.4.2.
const exitNoSession = 255

// NewExec makes podunit exec.
func NewExec(e *cli.Env) *cobra.Command {
	var (
		x           container.Exec
		interactive bool
		envFiles    []string
		latest      bool
	)
	cmd := &cobra.Command{
		Use:               "exec [flags] CONTAINER COMMAND [ARG...]",
		Short:             "Run another command in a running container",
		Example:           "  podunit exec -it web sh\n  podunit exec web nginx -s reload",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteContainers(e, cli.RunningOnly)),
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&x.TTY, "tty", "t", false, "give it a terminal")
	f.BoolVarP(&interactive, "interactive", "i", false, "pass our stdin on")
	f.BoolVarP(&x.Detach, "detach", "d", false, "do not wait for it")
	f.BoolVar(&x.Privileged, "privileged", false, "give it all capabilities")
	f.StringArrayVarP(&x.Env, "env", "e", nil, "set `NAME=VALUE`, or pass NAME on")
	f.StringArrayVar(&envFiles, "env-file", nil, "read variables from `FILE`")
	f.StringVarP(&x.User, "user", "u", "", "`USER[:GROUP]` to run as")
	f.StringVarP(&x.WorkDir, "workdir", "w", "", "working `DIRECTORY` in the container")
	f.BoolVarP(&latest, "latest", "l", false, "in the container made last")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		sel := cli.Selection{Latest: latest}
		if !latest {
			if len(args) == 0 {
				return errors.New("which container? exec [flags] CONTAINER COMMAND [ARG...]")
			}
			args, x.Command = args[:1], args[1:]
		} else {
			args, x.Command = nil, args
		}
		if len(x.Command) == 0 {
			return errors.New("which command? exec [flags] CONTAINER COMMAND [ARG...]")
		}
		host := e.Host()
		var err error
		if x.Env, err = host.Assignments(envFiles, x.Env); err != nil {
			return err
		}
		eng, err := e.Open(cmd.Context())
		if err != nil {
			return err
		}
		records, err := sel.Resolve(eng, args)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return errors.New("there is no container")
		}
		if !x.Detach {
			x.Streams = runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr}
			if interactive || x.TTY && cli.IsTerminal(e.Stdin) {
				x.Streams.Stdin = e.Stdin
			}
		}
		code, err := eng.Exec(cmd.Context(), records[0], x)
		if x.Detach {
			return err // the statuses of a command are for who waits for it
		}
		if errors.Is(err, container.ErrNotRunning) || errors.Is(err, bundle.ErrNoUser) || errors.Is(err, bundle.ErrNoGroup) {
			return cli.WithStatus(err, exitNoSession)
		}
		return cli.Ended(code, err)
	}
	return cmd
}
