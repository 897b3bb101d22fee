// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// exitNoSession is the exit status of a command that could not be begun, since the container does
// not run or the user does not exist. Source: seen with Podman 5.4.2.
const exitNoSession = 255

// maxDescriptor is the highest file descriptor that is handed on: the usual limit of open files.
// Source: getrlimit(2).
const maxDescriptor = 1023

// execFlags are the flags of podunit exec.
type execFlags struct {
	container.Exec
	interactive, latest bool
	envFiles            []string
	cidFile             string
	row                 uint
	numbers             []int
}

// NewExec makes podunit exec.
func NewExec(e *cli.Env) *cobra.Command {
	var x execFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] CONTAINER COMMAND [ARG...]",
		Short: "Run another command in a running container",
		Long: `Run another command in a running container, and end with its status. There is no detaching from its terminal;
with --detach nothing waits for it, and an ID is printed that its event has, too.`,
		Example:           "  podunit exec -it web sh\n  podunit exec web nginx -s reload",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteContainers(e, cli.RunningOnly)),
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&x.TTY, "tty", "t", false, "give it a terminal")
	f.BoolVarP(&x.interactive, "interactive", "i", false, "pass our stdin on")
	f.BoolVarP(&x.Detach, "detach", "d", false, "do not wait for it")
	f.BoolVar(&x.Privileged, "privileged", false, "give it all capabilities")
	f.StringArrayVarP(&x.Env, "env", "e", nil, "set `NAME=VALUE`, or pass NAME on")
	f.StringArrayVar(&x.envFiles, "env-file", nil, "read variables from `FILE`")
	f.StringVarP(&x.User, "user", "u", "", "`USER[:GROUP]` to run as")
	f.StringVarP(&x.WorkDir, "workdir", "w", "", "working `DIRECTORY` in the container")
	f.BoolVarP(&x.latest, "latest", "l", false, "in the container made last")
	f.StringVar(&x.cidFile, "cidfile", "", "in the container whose ID is in `FILE`; no CONTAINER is named then")
	f.UintVar(&x.row, "preserve-fds", 0, "how many open files it gets, from descriptor 3 on")
	f.IntSliceVar(&x.numbers, "preserve-fd", nil, "`DESCRIPTORS` that it gets, each under its own number")
	cli.Refuse(f, "detach-keys", "", noDetaching+"; exec --detach does not wait")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return x.run(cmd.Context(), e, args) }
	return cmd
}

func (x *execFlags) run(ctx context.Context, e *cli.Env, args []string) error {
	sel := cli.Selection{Latest: x.latest}
	switch {
	case x.latest && x.cidFile != "":
		return errors.New("--latest and --cidfile exclude each other")
	case x.cidFile != "":
		sel.CIDFiles = []string{x.cidFile}
		args, x.Command = nil, args
	case x.latest:
		args, x.Command = nil, args
	case len(args) == 0:
		return errors.New("which container? exec [flags] CONTAINER COMMAND [ARG...]")
	default:
		args, x.Command = args[:1], args[1:]
	}
	if len(x.Command) == 0 {
		return errors.New("which command? exec [flags] CONTAINER COMMAND [ARG...]")
	}
	var err error
	if err = x.takeFiles(); err != nil {
		return err
	}
	if x.Env, err = e.Host().Assignments(x.envFiles, x.Env); err != nil {
		return err
	}
	eng, err := e.Open(ctx)
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
		x.Streams.Stdout, x.Streams.Stderr = os.Stdout, os.Stderr
		if x.interactive || x.TTY && cli.IsTerminal(e.Stdin) {
			x.Streams.Stdin = e.Stdin
		}
	}
	x.Session = container.NewID()
	code, err := eng.Exec(ctx, records[0], x.Exec)
	if x.Detach {
		if err == nil {
			fmt.Fprintln(e.Stdout, x.Session)
		}
		return err // the statuses of a command are for who waits for it
	}
	if errors.Is(err, container.ErrNotRunning) || errors.Is(err, bundle.ErrNoUser) || errors.Is(err, bundle.ErrNoGroup) {
		return cli.WithStatus(err, exitNoSession)
	}
	return cli.Ended(code, err)
}

// takeFiles takes those of our open files that the command gets, before anything else can have
// their numbers.
func (x *execFlags) takeFiles() (err error) {
	if x.row > maxDescriptor {
		return fmt.Errorf("--preserve-fds %d: want a number from 0 to %d", x.row, maxDescriptor)
	}
	for _, fd := range x.numbers {
		if fd < 3 || fd > maxDescriptor {
			return fmt.Errorf("--preserve-fd %d: want numbers from 3 to %d", fd, maxDescriptor)
		}
	}
	x.Streams.Files, err = service.Handed(int(x.row), x.numbers)
	return err
}
