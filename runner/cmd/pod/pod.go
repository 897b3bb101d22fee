// SPDX-License-Identifier: Apache-2.0

// Package pod holds the verbs of podunit pod, a file for each.
package pod

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// New makes podunit pod.
func New(e *cli.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pod COMMAND",
		Short: "Manage pods: containers that share a network",
		Args:  cli.WantVerb,
		RunE:  cli.NoVerb,
	}
	cmd.AddCommand(NewCreate(e), NewStart(e), NewStop(e), NewRm(e),
		NewPs(e), NewInspect(e), NewExists(e))
	return cmd
}

// called is what a command line calls pods, by their IDs.
type called map[string]string

// of is what it calls a pod; the ID where it means all.
func (c called) of(p pod.Record) string { return cmp.Or(c[p.ID], p.ID) }

// fromFiles reads the IDs of pods that pod create --pod-id-file has written.
func fromFiles(files []string, ignore bool) ([]string, error) {
	var ids []string
	for _, path := range files {
		b, err := os.ReadFile(path)
		switch {
		case err == nil:
			ids = append(ids, strings.TrimSpace(string(b)))
		case !ignore || !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("reading pod ID file: %w", err)
		}
	}
	return ids, nil
}

// resolve finds the pods that a verb means, and what they are called. Units say --ignore, and then
// the names are exact.
func resolve(x *service.Engine, args []string, all, ignore, force bool) ([]pod.Record, called, error) {
	switch {
	case all && len(args) > 0:
		return nil, nil, errors.New("--all and names exclude each other")
	case all:
		pods, err := x.Pods.List()
		return pods, nil, err
	case len(args) == 0:
		return nil, nil, hint.With(errors.New("you must provide at least one name or id"), "a name or ID of a pod, or --all")
	}
	var out []pod.Record
	names := called{}
	var errs []error
	for _, name := range args {
		find := x.FindPod
		if ignore {
			find = x.Pods.LookupExact
		}
		r, err := find(name)
		switch {
		case err == nil && names[r.ID] != "": // named twice
		case err == nil:
			names[r.ID] = name
			out = append(out, r)
		case (ignore || force) && errors.Is(err, pod.ErrNotFound):
		default:
			errs = append(errs, err)
		}
	}
	return out, names, errors.Join(errs...)
}
