// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/runc"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newExecCommand(e *env) *cobra.Command {
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
		ValidArgsFunction: completeContainers(e),
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
		sel := selection{latest: latest}
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
		if x.TTY && !term.IsTerminal(int(os.Stdin.Fd())) {
			return errors.New("--tty needs a terminal, and our input is none; leave --tty out")
		}
		host := e.host()
		var err error
		if x.Env, err = host.Assignments(envFiles, x.Env); err != nil {
			return err
		}
		eng, err := e.open(cmd.Context())
		if err != nil {
			return err
		}
		records, err := sel.resolve(eng, args)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return errors.New("there is no container")
		}
		if !x.Detach {
			x.Streams = runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr}
			if interactive || x.TTY {
				x.Streams.Stdin = e.stdin
			}
		}
		code, err := eng.Exec(cmd.Context(), records[0], x)
		if err != nil {
			return commandFault(err)
		}
		if code != 0 {
			return exitStatus(code)
		}
		return nil
	}
	return cmd
}

// newFaultCommand is what the unit of a faulty file runs: it says what is wrong, where
// people look, and fails.
func newFaultCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:    "fault MESSAGE...",
		Short:  "Say what is wrong with a unit file, and fail",
		Hidden: true,
		Args:   wantArgs(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			e.say(args...)
			e.status(strings.SplitN(args[0], "\n", 2)[0])
			return exitStatus(1)
		},
	}
}
