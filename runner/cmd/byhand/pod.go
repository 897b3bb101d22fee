// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"errors"
	"slices"

	"github.com/podunit/podunit/runner/cli"
	of "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/spf13/cobra"
)

// podSelection says which pods a verb acts on.
type podSelection struct{ all, latest bool }

func (s *podSelection) flags(cmd *cobra.Command, what string) {
	cmd.Flags().BoolVarP(&s.all, "all", "a", false, what+" all pods")
	cmd.Flags().BoolVarP(&s.latest, "latest", "l", false, what+" the pod made last")
}

// resolve finds the pods.
func (s *podSelection) resolve(x *service.Engine, args []string) ([]pod.Record, error) {
	switch {
	case (s.all || s.latest) && len(args) > 0, s.all && s.latest:
		return nil, errors.New("--all, --latest and names exclude each other")
	case s.all || s.latest:
		all, err := x.Pods.List()
		if err != nil || s.all || len(all) == 0 {
			return all, err
		}
		return []pod.Record{slices.MaxFunc(all, func(a, b pod.Record) int { return a.Created.Compare(b.Created) })}, nil
	case len(args) == 0:
		return nil, errors.New("which pod? give a name or ID, --all or --latest")
	}
	var found []pod.Record
	var errs []error
	for _, name := range args {
		p, err := x.FindPod(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, p)
	}
	return found, errors.Join(errs...)
}

// running are the running containers of a pod.
func running(x *service.Engine, p pod.Record) ([]of.Record, error) {
	members, err := x.Pods.Members(p)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(members, func(r of.Record) bool {
		s, err := x.Containers.Status(r.ID)
		return err != nil || s.PID == 0
	}), nil
}

// podVerb makes a verb that calls do with each pod that it acts on and prints the pod's ID.
func podVerb(e *cli.Env, verb, short string, do func(context.Context, *service.Engine, pod.Record) error) *cobra.Command {
	var sel podSelection
	cmd := &cobra.Command{
		Use:               verb + " [flags] POD...",
		Short:             short,
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			pods, err := sel.resolve(x, args)
			return cli.ForEach(e, pods, err, func(p pod.Record) string { return p.ID }, func(p pod.Record) error { return do(cmd.Context(), x, p) })
		},
	}
	sel.flags(cmd, verb)
	return cmd
}
