// SPDX-License-Identifier: Apache-2.0

package byhand

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/cmd/container"
	of "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/view"
	"github.com/spf13/cobra"
	"go.podman.io/common/pkg/signal"
)

// podSelection says which pods a verb means.
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

// running are the containers of a pod that run.
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

// podVerb makes a verb that does something to each pod that is meant and prints its ID.
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

// NewPodKill makes podunit pod kill.
func NewPodKill(e *cli.Env) *cobra.Command {
	var name string
	cmd := podVerb(e, "kill", "Send a signal to the first processes of the containers of pods", func(_ context.Context, x *service.Engine, p pod.Record) error {
		sig, err := signal.ParseSignalNameOrNumber(name)
		if err != nil {
			return fmt.Errorf("--signal %q is no signal; write a name or a number, such as --signal HUP", name)
		}
		members, err := running(x, p)
		errs := []error{err}
		for _, r := range members {
			errs = append(errs, x.Containers.Kill(r, sig))
		}
		return errors.Join(errs...)
	})
	cmd.Flags().StringVarP(&name, "signal", "s", "KILL", "`SIGNAL` to send, by name or number")
	return cmd
}

// NewPodPause makes podunit pod pause.
func NewPodPause(e *cli.Env) *cobra.Command {
	return podVerb(e, "pause", "Have all processes of the containers of pods stand still", func(ctx context.Context, x *service.Engine, p pod.Record) error {
		members, err := running(x, p)
		errs := []error{err}
		for _, r := range members {
			if frozen(x, r, false) {
				errs = append(errs, x.Pause(ctx, r))
			}
		}
		return errors.Join(errs...)
	})
}

// NewPodUnpause makes podunit pod unpause.
func NewPodUnpause(e *cli.Env) *cobra.Command {
	return podVerb(e, "unpause", "Have the processes of paused pods go on", func(_ context.Context, x *service.Engine, p pod.Record) error {
		members, err := running(x, p)
		errs := []error{err}
		for _, r := range members {
			if s, serr := x.Containers.Status(r.ID); serr == nil && cgroup.Frozen(s.Cgroup) {
				errs = append(errs, x.Unpause(r))
			}
		}
		return errors.Join(errs...)
	})
}

// NewPodRestart makes podunit pod restart.
func NewPodRestart(e *cli.Env) *cobra.Command {
	return podVerb(e, "restart", "Restart pods through their units", func(ctx context.Context, x *service.Engine, p pod.Record) error {
		return x.RestartPod(ctx, p)
	})
}

// NewPodPrune makes podunit pod prune.
func NewPodPrune(e *cli.Env) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove all pods that have ended, with their containers",
		Args:  cli.WantArgs(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !force {
				yes, err := e.Confirm("WARNING! This will remove all stopped/exited pods..")
				if err != nil || !yes {
					return err
				}
			}
			x, err := e.OpenToRun(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := PrunePods(cmd.Context(), x)
			for _, id := range gone {
				fmt.Fprintln(e.Stdout, id)
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return cmd
}

// PrunePods removes all pods that have ended and returns their IDs.
func PrunePods(ctx context.Context, x *service.Engine) (gone []string, err error) {
	rows, err := view.Pods(x, false)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, row := range rows {
		if row.Status != "Exited" && row.Status != "Stopped" {
			continue
		}
		p, err := x.Pods.Lookup(row.ID)
		if errors.Is(err, pod.ErrNotFound) {
			continue // somebody else was first
		}
		if err == nil {
			err = x.RemovePod(ctx, p, false, pod.OwnTimes)
		}
		if service.InUse(err) {
			continue // it has been started since
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		gone = append(gone, row.ID)
	}
	return gone, errors.Join(errs...)
}

// NewPodLogs makes podunit pod logs.
func NewPodLogs(e *cli.Env) *cobra.Command {
	var only string
	cmd := container.NewLogs(e)
	logs, latest := cmd.RunE, false
	cmd.Use, cmd.Short, cmd.Example = "logs [flags] POD", "Show what the containers of a pod wrote", "  podunit pod logs -f --container web shop"
	cmd.ValidArgsFunction = cli.CompletePods(e, cli.Whatever)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if latest, _ = cmd.Flags().GetBool("latest"); latest {
			_ = cmd.Flags().Set("latest", "false") // it is the pod that is the latest
		}
		x, err := e.Open(cmd.Context())
		if err != nil {
			return err
		}
		pods, err := (&podSelection{latest: latest}).resolve(x, args)
		if err != nil {
			return err
		}
		if len(pods) != 1 {
			return fmt.Errorf("logs shows those of one pod, these are %d", len(pods))
		}
		members, err := x.Pods.Members(pods[0])
		if err != nil {
			return err
		}
		var ids []string
		for _, r := range members {
			if only == "" || only == r.Name || only == r.ID {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) == 0 && only != "" {
			return fmt.Errorf("container %s is not in pod %s", only, pods[0].Name)
		}
		if len(ids) == 0 {
			return nil
		}
		return logs(cmd, ids)
	}
	cmd.Flags().StringVarP(&only, "container", "c", "", "only those of `CONTAINER`")
	return cmd
}

// NewPodStats makes podunit pod stats.
func NewPodStats(e *cli.Env) *cobra.Command {
	var sel podSelection
	s := Stats{
		Columns:  "{{.Pod}}\t{{.CID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDS}}",
		Headings: PodHeadings(),
		Pods:     true,
	}
	cmd := &cobra.Command{
		Use:               "stats [flags] [POD...]",
		Short:             "Show what the containers of pods use",
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && !sel.latest {
				sel.all = true
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			pods, err := sel.resolve(x, args)
			if err != nil {
				return err
			}
			return s.Show(cmd.Context(), e, x, func() ([]of.Record, error) {
				var all []of.Record
				for _, p := range pods {
					members, err := running(x, p)
					if err != nil {
						return nil, err
					}
					all = append(all, members...)
				}
				return all, nil
			})
		},
	}
	sel.flags(cmd, "show those of")
	s.Flags(cmd)
	return cmd
}

// NewPodTop makes podunit pod top.
func NewPodTop(e *cli.Env) *cobra.Command {
	var latest bool
	cmd := &cobra.Command{
		Use:               "top [flags] POD [COLUMN...]",
		Short:             "Show the processes of the containers of a pod",
		ValidArgsFunction: cli.CompletePods(e, cli.Whatever),
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			if !latest {
				names = args[:min(1, len(args))]
				args = args[len(names):]
			}
			x, err := e.Open(cmd.Context())
			if err != nil {
				return err
			}
			pods, err := (&podSelection{latest: latest}).resolve(x, names)
			if err != nil {
				return err
			}
			if len(pods) == 0 {
				return errors.New("there is no pod")
			}
			members, err := running(x, pods[0])
			if err != nil {
				return err
			}
			var pids []string
			for _, r := range members {
				if s, err := x.Containers.Status(r.ID); err == nil && s.PID != 0 {
					pids = append(pids, strconv.Itoa(s.PID))
				}
			}
			if len(pids) == 0 {
				return fmt.Errorf("pod %s has no container that runs", pods[0].Name)
			}
			return Top(e, pids, args)
		},
	}
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().BoolVarP(&latest, "latest", "l", false, "of the pod made last")
	return cmd
}
