// SPDX-License-Identifier: Apache-2.0

package served

import (
	"context"
	"errors"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/service"
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
				return probeOwn(cmd.Context(), e, force)
			}
			return Down(cmd.Context(), e, args, force, documents)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove the volumes, too")
	cmd.Flags().BoolVar(&own, "service-container", false, "for .kube files: what this unit has played, and nothing that others have under the same names")
	_ = cmd.Flags().MarkHidden("service-container") // as kube play hides its own
	return cmd
}

// probeOwn is downOwn with what can be told before any storage is open.
func probeOwn(ctx context.Context, e *cli.Env, force bool) error {
	_, x, err := probing(e)
	if err != nil {
		return err
	}
	graph, err := e.GraphRoot()
	if err != nil {
		return err
	}
	return downOwn(ctx, x, graph, force, e.OpenToRun)
}

// downOwn takes down what the service has played that this process is in. A stop executes it twice,
// and the second one opens no storage where the first has done all.
func downOwn(ctx context.Context, x *service.Engine, graph string, force bool, open func(context.Context) (*service.Engine, error)) error {
	if !x.InService() {
		return hint.With(errors.New("--service-container: only a service executes this"), "leave it out, or stop the service of the .kube file")
	}
	if !play.Noted(graph, x.Own.Name) {
		return nil
	}
	x, err := open(ctx)
	if err != nil {
		return err
	}
	_, err = play.New(x).DownUnit(ctx, force)
	return err
}

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
