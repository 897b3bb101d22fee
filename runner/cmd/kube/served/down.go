// SPDX-License-Identifier: Apache-2.0

package served

import (
	"context"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/cobra"
)

// Documents takes down what files name.
type Documents func(ctx context.Context, x *service.Engine, files []string, force bool) error

// newDown makes podunit kube down.
func newDown(e *cli.Env, documents Documents) *cobra.Command {
	var force, own bool
	cmd := &cobra.Command{
		Use:   "down [flags] FILE...",
		Short: "Stop and remove what kube play has made of YAML",
		Long: `Stop and remove what kube play has made of YAML.

The documents only name what is to go. What goes is what was played, whatever has become of the files.
Volumes of claims stay, unless --force is given; also then stays one that another container, play or unit has,
or that another tool has made.`,
		Args: cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if own {
				if gone, err := nothingPlayed(e); gone || err != nil {
					return err
				}
				documents = nothing
			}
			return Down(cmd.Context(), e, args, force, documents)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove the volumes, too")
	cmd.Flags().BoolVar(&own, "service-container", false, "for .kube files: what this unit has played, and nothing that others have under the same names")
	_ = cmd.Flags().MarkHidden("service-container") // it is there, as that of play
	return cmd
}

// nothingPlayed reports whether there is no note of what this unit has played. So it is where a stop
// executes this for the second time, which opens no storage for that.
func nothingPlayed(e *cli.Env) (bool, error) {
	own, err := unit.CurrentUnit(e.Lookup)
	if err != nil {
		return false, err
	}
	at, err := store.Locate(store.Config{RunDir: e.User.RunDir, Rootless: e.User.Rootless()})
	return !play.Noted(at.GraphRoot, own.Name), err
}

// nothing is what documents name to a unit that has played none of it.
func nothing(context.Context, *service.Engine, []string, bool) error { return nil }

// Down takes down what files name; in the service that has played them, all that it has played.
func Down(ctx context.Context, e *cli.Env, files []string, force bool, documents Documents) error {
	x, err := e.OpenToRun(ctx)
	if err != nil {
		return err
	}
	p := play.New(x)
	if x.InService() && p.Plays(x.Own.Name) {
		_, err := p.DownUnit(ctx, force)
		return err
	}
	if documents == nil {
		return &image.BeyondError{What: "YAML"}
	}
	return documents(ctx, x, files, force)
}
