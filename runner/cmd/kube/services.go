// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/spf13/cobra"
)

// newStartContainer makes what the service of a container executes.
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

// newEnded makes what those services execute at their end.
func newEnded(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use: "ended PLAY POD [CONTAINER]", Short: "For services of kube play: note an end", Hidden: true, Args: cli.WantArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return play.New(x).PodEnded(cmd.Context(), args[0], args[1])
			}
			return play.New(x).ContainerEnded(cmd.Context(), args[0], args[1], args[2])
		},
	}
	cmd.Flags().StringArray("volume", nil, "`NAME:` of a volume of the pod, for those who look in units for what is used")
	return cmd
}

// newStopContainer makes what stops a container that has a hook for it.
func newStopContainer(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "stop-container PLAY POD CONTAINER", Short: "For services of kube play: stop a container", Hidden: true, Args: cli.WantArgs(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			return play.New(x).StopContainer(cmd.Context(), args[0], args[1], args[2])
		},
	}
}

// newProbe makes what the timers of probes execute.
func newProbe(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "probe PLAY POD CONTAINER KIND ID", Short: "For timers of kube play: probe a container", Hidden: true, Args: cli.WantArgs(5, 5),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			p := play.New(x)
			err = p.Probe(cmd.Context(), args[0], args[1], args[2], args[3], args[4])
			if errors.Is(err, container.ErrNotRunning) || errors.Is(err, play.ErrNotFound) {
				return p.EndTimer(context.WithoutCancel(cmd.Context()))
			}
			return err
		},
	}
}

// newHold makes what holds the volumes of a pod that are in memory.
func newHold(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "hold PLAY POD", Short: "For services of kube play: hold volumes in memory", Hidden: true, Args: cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			return play.New(x).Hold(args[0], args[1])
		},
	}
}

// newCron makes what the timer of a CronJob executes.
func newCron(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "cron PLAY POD", Short: "For timers of kube play: begin a run of a CronJob", Hidden: true, Args: cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			return play.New(x).Cron(cmd.Context(), args[0], args[1])
		},
	}
}

// newExpire makes what removes a pod that has ended.
func newExpire(e *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "expire PLAY POD", Short: "For timers of kube play: remove a pod that has ended", Hidden: true, Args: cli.WantArgs(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			return play.New(x).Expire(cmd.Context(), args[0], args[1])
		},
	}
}
