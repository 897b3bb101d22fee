// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/kube/served"
	"github.com/podunit/podunit/runner/kube/manifest"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/kube/yaml"
	"github.com/podunit/podunit/runner/service"
)

// documents takes down what files name.
func documents(e *cli.Env) served.Documents {
	return func(ctx context.Context, x *service.Engine, names []string, force bool) error {
		var files []yaml.Source
		err := cli.Interruptible(ctx, func() (err error) {
			files, err = sources(ctx, e, names)
			return err
		})
		if err != nil {
			return err
		}
		// Other faults of the documents do not matter to a down.
		plan, list := manifest.Read(files, manifest.Options{Validate: manifest.ValidateIgnore, Partial: true, Dir: e.Host().Dir})
		if plan == nil {
			return say(e, list)
		}
		gone, err := play.New(x).Down(ctx, plan, force)
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
}
