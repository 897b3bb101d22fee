// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/spf13/cobra"
)

// NewDown makes podunit kube down.
func NewDown(e *cli.Env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "down [flags] FILE...",
		Short: "Stop and remove what kube play has made of YAML",
		Long: `Stop and remove what kube play has made of YAML.

The documents only name what is to go. What goes is what was played, whatever has become of the files.
Volumes of claims stay, unless --force is given; also then stays one that another container, play or unit has,
or that another tool has made.`,
		Args: cli.WantArgs(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error { return down(cmd.Context(), e, args, force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "remove the volumes, too")
	return cmd
}

// down takes down what files name; in the service that has played them, all that it has played.
func down(ctx context.Context, e *cli.Env, args []string, force bool) error {
	x, err := e.OpenToRun(ctx)
	if err != nil {
		return err
	}
	p := play.New(x)
	if x.InService() && p.Plays(x.Own.Name) {
		_, err := p.DownUnit(ctx, force)
		return err
	}
	files, err := sources(e, args)
	if err != nil {
		return err
	}
	// What else they say does not matter any more.
	plan, list := manifest.Read(files, manifest.Options{Validate: manifest.ValidateIgnore, Partial: true, Dir: e.Host().Dir})
	if plan == nil {
		return say(e, list)
	}
	gone, err := p.Down(ctx, plan, force)
	for _, s := range []struct {
		title string
		list  []string
	}{{"Pods stopped:", gone.Stopped}, {"Pods removed:", gone.Removed}, {"Secrets removed:", gone.Secrets}, {"Volumes removed:", gone.Volume}} {
		fmt.Fprintln(e.Stdout, s.title)
		for _, one := range s.list {
			fmt.Fprintln(e.Stdout, one)
		}
	}
	return err
}
