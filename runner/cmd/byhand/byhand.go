// SPDX-License-Identifier: Apache-2.0

// Package byhand holds verbs with containers that people and scripts use and no service executes, a
// file for each: only the full program links them.
package byhand

import (
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// meant are the containers that a verb acts on, with the word of the command line for each.
type meant struct {
	name   string
	record container.Record
}

// chosen finds the containers that a verb acts on, in the order of its words. With an error it
// returns those that were found.
func chosen(x *service.Engine, sel cli.Selection, args []string) ([]meant, error) {
	records, err := sel.Resolve(x, args)
	var all []meant
	for _, r := range records {
		all = append(all, meant{sel.Given(r), r})
	}
	return all, err
}

// one finds the container that a verb acts on, by its name or --latest, and returns the words after
// the name.
func one(x *service.Engine, latest bool, args []string) (container.Record, []string, error) {
	var names []string
	if !latest {
		if len(args) == 0 {
			return container.Record{}, nil, hint.With(errors.New("you must provide the name or id of a container"), "or --latest")
		}
		names, args = args[:1], args[1:]
	}
	found, err := chosen(x, cli.Selection{Latest: latest}, names)
	if err != nil {
		return container.Record{}, nil, err
	}
	if len(found) == 0 {
		return container.Record{}, nil, errors.New("there is no container")
	}
	return found[0].record, args, nil
}

// only is one for a verb that takes no words after the name.
func only(cmd *cobra.Command, e *cli.Env, latest bool, args []string) (*service.Engine, container.Record, error) {
	x, err := e.Open(cmd.Context())
	if err != nil {
		return nil, container.Record{}, err
	}
	r, rest, err := one(x, latest, args)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%s takes one container: %q", cmd.Name(), rest[0])
	}
	return x, r, err
}

// forEach calls do with each container that a verb acts on and prints the word that the command
// line had for it.
func forEach(e *cli.Env, all []meant, err error, do func(container.Record) error) error {
	errs := []error{err}
	for _, m := range all {
		if err := do(m.record); err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(e.Stdout, m.name)
	}
	return errors.Join(errs...)
}

// latestFlag adds --latest.
func latestFlag(cmd *cobra.Command, latest *bool) {
	cmd.Flags().BoolVarP(latest, "latest", "l", false, "the container made last")
}
