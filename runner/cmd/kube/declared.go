// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/kube/play"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
	"github.com/spf13/pflag"
)

// Declared finds the containers that plays declare, for updates: of plays that are remembered, and
// of .kube units that are stopped, whose services are among commands. A fault in the YAML of a
// stopped unit is left out: its start will report it. forget removes what was written for the pulls
// of stopped units.
func Declared(ctx context.Context, e *cli.Env, x *service.Engine, commands []unit.Command) (all []play.Declared, forget func() error, err error) {
	p := play.New(x)
	all, err = p.Declared()
	if err != nil {
		return nil, nil, err
	}
	var waiting []string
	for _, c := range commands {
		if c.User != "" && c.User != "root" && c.User != "0" || p.Plays(c.Unit) {
			continue
		}
		for _, words := range c.Exec {
			f, files, ok := fromCommand(words)
			if !ok {
				continue
			}
			o, err := f.options(e)
			if err != nil {
				continue
			}
			o.Stored = play.Stored(x)
			plan, list, err := f.plan(ctx, e, files, o)
			if err != nil || list.Errors() > 0 {
				continue
			}
			waiting = append(waiting, c.Unit)
			all = append(all, p.Waiting(c.Unit, plan, f.registry())...)
		}
	}
	return all, func() error {
		var errs []error
		for _, name := range waiting {
			errs = append(errs, p.ForgetWaiting(name))
		}
		return errors.Join(errs...)
	}, nil
}

// fromCommand reads the command of the service of a .kube file.
func fromCommand(words []string) (f *playFlags, files []string, ok bool) {
	i := slices.Index(words, "kube")
	if i < 1 || i+1 >= len(words) || words[i+1] != "play" || !slices.Contains([]string{"podunit", "podman"}, filepath.Base(words[0])) {
		return nil, nil, false
	}
	f = &playFlags{}
	fs := pflag.NewFlagSet("play", pflag.ContinueOnError)
	f.register(fs)
	fs.Usage = func() {}
	if err := fs.Parse(words[i+2:]); err != nil || !f.service {
		return nil, nil, false
	}
	f.tlsGiven = fs.Changed("tls-verify")
	return f, fs.Args(), true
}
