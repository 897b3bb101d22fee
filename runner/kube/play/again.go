// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/unit"
)

// all is the name of the note that all containers of a pod are to start anew.
const all = "all"

// endsAll tells whether a rule of a container has all containers of its pod started anew after this end of it
// (RestartAllContainers).
func (p *Player) endsAll(c *kube.Container) bool {
	code, _ := p.Lookup("EXIT_CODE")
	status, _ := p.Lookup("EXIT_STATUS")
	return code == "exited" && slices.Contains(c.Restart.PodOn, status)
}

// again has all containers of a pod started anew, after a moment. The service of a container executes this, so
// somebody else has to do it.
func (p *Player) again(ctx context.Context, st *State, one *kube.Pod, c *kube.Container) error {
	r, err := p.Pods.LookupExact(one.Name)
	if errors.Is(err, pod.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.store.setVerdict(st.Name, verdict{ID: r.ID}, one.Name, all); err != nil {
		return err
	}
	return p.StartTimer(ctx, fmt.Sprintf("podunit-again-%s-%x.timer", r.ID[:12], time.Now().UnixNano()), unit.Timer{
		Description: "New start of all containers of pod " + one.Name,
		First:       c.Restart.First,
		Command:     p.command(one.Runtime, "kube", "again", st.Name, one.Name),
		Environment: p.ServiceEnvironment(one.Unit),
		Limit:       -1, // init containers may take as long as they need
		BoundTo:     one.Unit,
	})
}

// Again stops all containers of a pod and starts them in their order, init containers too. The pod goes on, with its
// network and its volumes. If they do not start, the pod has failed.
func (p *Player) Again(ctx context.Context, play, podName string) error {
	done, err := p.ShareManager(ctx)
	if err != nil {
		return err
	}
	defer done()
	return p.locked(ctx, play, func(st *State) error {
		one := st.pod(podName)
		if one == nil || os.Remove(p.store.verdictPath(play, []string{podName, all})) != nil {
			return nil // it is gone, or another one was faster
		}
		r, err := p.Pods.LookupExact(podName)
		if errors.Is(err, pod.ErrNotFound) || err == nil && p.Pods.Status(r).InfraPID == 0 {
			return nil
		}
		if err == nil {
			err = p.stopAll(ctx, one)
		}
		if err == nil {
			w := &work{Player: p, st: st, plan: st.Plan, seen: map[string]string{}, Options: Options{Service: true}}
			err = w.start(ctx, r, one, one.Containers)
		}
		if err == nil || ctx.Err() != nil {
			return err // where somebody ends this, the pod ends
		}
		return errors.Join(err, p.broken(ctx, st, one))
	})
}

// stopAll stops the containers of a pod, sidecars last and in reverse.
func (p *Player) stopAll(ctx context.Context, one *kube.Pod) error {
	var ordinary, rest []*kube.Container
	for _, c := range one.Containers {
		if c.Role == kube.Ordinary {
			ordinary = append(ordinary, c)
		} else {
			rest = append(rest, c)
		}
	}
	stop := func(ctx context.Context, c *kube.Container) error {
		err := p.StopUnit(ctx, c.Unit)
		p.ForgetUnit(ctx, c.Unit)
		return err
	}
	if err := together(ctx, ordinary, len(ordinary), stop); err != nil {
		return err
	}
	slices.Reverse(rest)
	return together(ctx, rest, 1, stop)
}

// broken ends a pod whose containers do not start any more.
func (p *Player) broken(ctx context.Context, st *State, one *kube.Pod) error {
	errs := []error{p.stopAll(ctx, one)}
	for _, c := range one.Containers {
		if c.Role == kube.Ordinary {
			errs = append(errs, p.store.ended(st.Name, end{Code: 1, Broken: true}, one.Name, c.Name))
		}
	}
	return errors.Join(append(errs, p.settlePod(st, one))...)
}
