// SPDX-License-Identifier: Apache-2.0

// Package pod holds the verbs of podunit pod, a file for each.
package pod

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// New makes podunit pod.
func New(e *cli.Env) *cobra.Command {
	return cli.Group("pod COMMAND", "Manage pods: containers that share a network",
		NewCreate(e), NewStart(e), NewStop(e), NewRm(e),
		NewPs(e), NewInspect(e), NewExists(e))
}

// called are the words of a command line for pods, by the pods' IDs.
type called map[string]string

// of is the word for a pod; its ID if the command line says --all.
func (c called) of(p pod.Record) string { return cmp.Or(c[p.ID], p.ID) }

// latest returns the arguments for a verb with --latest: the ID of the pod that was made last.
func latest(x *service.Engine, args []string, others bool) ([]string, error) {
	if len(args) > 0 || others {
		return nil, errors.New("--all, --latest and names exclude each other")
	}
	pods, err := x.Pods.List()
	if err != nil || len(pods) == 0 {
		return nil, cmp.Or(err, errors.New("there is no pod"))
	}
	return []string{slices.MaxFunc(pods, func(a, b pod.Record) int { return a.Created.Compare(b.Created) }).ID}, nil
}

// latestFlag registers the flag.
func latestFlag(cmd *cobra.Command, is *bool) {
	cmd.Flags().BoolVarP(is, "latest", "l", false, "the pod made last")
}

// resolve finds the pods that a verb acts on, by name or by a file that pod create --pod-id-file
// has written, and the words for them. With --ignore, which units use, names must be exact, and the
// file may be missing.
func resolve(x *service.Engine, args, files []string, all, ignore, force bool) ([]pod.Record, called, error) {
	switch {
	case all && len(args)+len(files) > 0:
		return nil, nil, errors.New("--all and names exclude each other")
	case all:
		pods, err := x.Pods.List()
		return pods, nil, err
	case len(args)+len(files) == 0:
		return nil, nil, hint.With(errors.New("you must provide at least one name or id"), "a name or ID of a pod, or --all")
	}
	ids, err := cli.IDsOf(files, ignore || force)
	if err != nil {
		return nil, nil, fmt.Errorf("reading pod ID file: %w", err)
	}
	var out []pod.Record
	names := called{}
	var errs []error
	for _, name := range slices.Concat(args, ids) {
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
