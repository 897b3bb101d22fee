// SPDX-License-Identifier: Apache-2.0

// Package served holds those verbs of podunit kube that the services of plays execute: what each
// start and stop of a container waits for. It needs no YAML, so that the small program has them.
package served

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// New makes podunit kube with the verbs of services. documents takes down what files name; it is
// nil in the small program, which cannot read them.
func New(e *cli.Env, documents Documents) *cobra.Command {
	return cli.Group("kube COMMAND", "Play Kubernetes YAML, and take it down",
		newDown(e, documents), newStartContainer(e), newStopContainer(e), newEnded(e), newProbe(e), newHold(e), newAgain(e), newExpire(e))
}

// newStartContainer makes the verb that the service of a container executes.
func newStartContainer(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "start-container PLAY POD CONTAINER", Short: "For services of kube play: start a container", Hidden: true, Args: cli.WantArgs(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToStart(cmd.Context())
			if err != nil {
				return err
			}
			return cli.Ended(play.New(x).StartContainer(cmd.Context(), args[0], args[1], args[2]))
		},
	}
}

// Served makes a hidden verb that services and timers execute.
func Served(e *cli.Env, use, short string, least, most int, do func(context.Context, *play.Player, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Hidden: true, Args: cli.WantArgs(least, most),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			return do(cmd.Context(), play.New(x), args)
		},
	}
}

// probing is an engine for what has nothing to ask of the storage, and what it was made of.
func probing(e *cli.Env) (service.Config, *service.Engine, error) {
	c, err := e.Service()
	if err != nil {
		return c, nil, err
	}
	x, err := service.OpenToProbe(c)
	return c, x, err
}

// newEnded makes the verb that the services of containers and pods execute at their end.
func newEnded(e *cli.Env) *cobra.Command {
	cmd := Served(e, "ended PLAY POD [CONTAINER]", "For services of kube play: note an end", 2, 3, func(ctx context.Context, p *play.Player, args []string) error {
		name := "" // the pod itself has ended
		if len(args) == 3 {
			name = args[2]
		}
		return p.Ended(ctx, args[0], args[1], name)
	})
	ended := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, x, err := probing(e); err != nil || play.HasEnded(x, args[0], args[1:]...) {
			return err
		}
		return ended(cmd, args)
	}
	cmd.Flags().StringArray("volume", nil, "`NAME:` of a volume of the pod, for those who look in units for what is used")
	return cmd
}

// newStopContainer makes the verb that stops a container with a preStop hook.
func newStopContainer(e *cli.Env) *cobra.Command {
	return Served(e, "stop-container PLAY POD CONTAINER", "For services of kube play: stop a container", 3, 3, func(ctx context.Context, p *play.Player, args []string) error {
		return p.StopContainer(ctx, args[0], args[1], args[2])
	})
}

// newProbe makes the verb that the timers of probes execute.
func newProbe(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "probe PLAY POD CONTAINER KIND ID", Short: "For timers of kube play: probe a container", Hidden: true, Args: cli.WantArgs(5, 5),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, x, err := probing(e)
			if err != nil {
				return err
			}
			defer e.HealAfter(cmd.Context(), c, args[4])
			p := play.NewProber(x)
			err = p.Probe(cmd.Context(), args[0], args[1], args[2], args[3], args[4])
			if errors.Is(err, play.ErrNotNoted) {
				// The next tick finds the note.
				err = noteProbe(cmd.Context(), e, args)
			}
			if errors.Is(err, container.ErrNotRunning) {
				return p.EndTimer(context.WithoutCancel(cmd.Context()))
			}
			return err
		},
	}
}

// noteProbe notes what a probe needs to know, which takes the storage: once, after an update of
// podunit.
func noteProbe(ctx context.Context, e *cli.Env, args []string) error {
	x, err := e.OpenToRun(ctx)
	if err != nil {
		return err
	}
	return play.New(x).NoteProbe(args[0], args[1], args[2], args[3], args[4])
}

// newHold makes the verb that holds the volumes of a pod that are in memory.
func newHold(e *cli.Env) *cobra.Command {
	return Served(e, "hold PLAY POD", "For services of kube play: hold volumes in memory", 2, 2, func(_ context.Context, p *play.Player, args []string) error {
		return p.Hold(args[0], args[1])
	})
}

// newAgain makes the verb that starts all containers of a pod anew.
func newAgain(e *cli.Env) *cobra.Command {
	return Served(e, "again PLAY POD", "For timers of kube play: start all containers of a pod anew", 2, 2, func(ctx context.Context, p *play.Player, args []string) error {
		return p.Again(ctx, args[0], args[1])
	})
}

// newExpire makes the verb that removes a pod that has ended.
func newExpire(e *cli.Env) *cobra.Command {
	return Served(e, "expire PLAY POD", "For timers of kube play: remove a pod that has ended", 2, 2, func(ctx context.Context, p *play.Player, args []string) error {
		return p.Expire(ctx, args[0], args[1])
	})
}
