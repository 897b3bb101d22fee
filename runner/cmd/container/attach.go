// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// noDetaching is the hint for who asks for keys that detach.
const noDetaching = "nothing that is typed leaves a container alone: podunit run --detach and start without --attach do not wait, and Ctrl-C ends attach --sig-proxy=false"

// NewAttach makes podunit attach.
func NewAttach(e *cli.Env) *cobra.Command {
	var latest, noStdin, sigProxy bool
	cmd := &cobra.Command{
		Use:   "attach [flags] CONTAINER",
		Short: "Show what a running container writes until its end",
		Long: `Show what a running container writes from now on, and end with it and its exit status. Signals are passed on to
the container; with --sig-proxy=false, Ctrl-C ends this command, and the container goes on.

The output comes from the journal, line by line. There is no way to the input of a container that systemd runs:
podunit exec -it CONTAINER sh opens a shell in it.`,
		Example:           "  podunit attach web\n  podunit attach --sig-proxy=false web",
		ValidArgsFunction: cli.CompleteFirst(cli.CompleteContainers(e, cli.RunningOnly)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || latest && len(args) > 0 {
				return hint.With(fmt.Errorf("attach takes one container: %q", args[len(args)-1]), "%s", cmd.UseLine())
			}
			if !latest && len(args) == 0 {
				return hint.With(errors.New("attach needs a container"), "%s", cmd.UseLine())
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			records, err := (&cli.Selection{Latest: latest}).Resolve(x, args)
			if err != nil || len(records) == 0 {
				return err
			}
			code, err := follow(cmd.Context(), e, x, records[0], following{stdin: !noStdin, proxy: sigProxy})
			return cli.Ended(code, err)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&noStdin, "no-stdin", false, "do without the input of a container that was made with --interactive")
	f.BoolVar(&sigProxy, "sig-proxy", true, "pass signals on to the container")
	cli.Refuse(f, "detach-keys", "", noDetaching)
	f.BoolVarP(&latest, "latest", "l", false, "to the container made last")
	return cmd
}

// following says how a process attaches to a running container.
type following struct {
	stdin bool // its input is wanted, if it has one
	proxy bool // signals are the container's
}

// follow shows what a running container writes until its end, and returns its exit status.
func follow(ctx context.Context, e *cli.Env, x *service.Engine, r container.Record, how following) (int, error) {
	if how.stdin && r.Spec.Interactive {
		return 0, hint.With(fmt.Errorf("there is no way to the input of container %s: systemd runs it", r.Name),
			"podunit attach --no-stdin %[1]s shows its output; podunit exec -it %[1]s sh opens a shell in it", r.Name)
	}
	source, err := logSource(x, r)
	if err != nil {
		return 0, err
	}
	q := journal.Query{UID: e.User.UID, Sources: []journal.Source{source}, Tail: -1, Since: time.Now(), Follow: true}
	return x.Follow(ctx, r, how.proxy, func(ctx context.Context, over <-chan struct{}) error {
		q.Over = over
		printer := journal.NewPrinter(e.Stdout, e.Stderr, journal.Style{}, q.Sources)
		return journal.Reader{Command: "journalctl", Apart: how.proxy, Mark: journal.Mark}.Read(ctx, q, printer.Print)
	})
}
