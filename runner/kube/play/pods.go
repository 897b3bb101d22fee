// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
)

// StartPod starts those containers of a pod that do not run, as its play has noted them, and the pod
// itself. What fails is not taken down: services try again as the restart policies say. It reports
// whether the pod belongs to a play.
func (p *Player) StartPod(ctx context.Context, r pod.Record) (played bool, err error) {
	return p.inPlay(ctx, r, func(w *work, r pod.Record, one *kube.Pod) error {
		if p.Pods.Status(r).InfraPID == 0 {
			if err := errors.Join(w.startSlice(ctx), w.startFirst(ctx, r, one)); err != nil {
				return err
			}
			return w.start(ctx, r, one, one.Containers)
		}
		var list []*kube.Container
		for _, c := range one.Containers {
			u, err := p.Unit(ctx, c.Unit)
			if err != nil {
				return err
			}
			if c.Role != kube.Init && u.ActiveState != "active" { // those have run in this pod
				list = append(list, c)
			}
		}
		return w.start(ctx, r, one, list)
	})
}

// RestartPod stops all containers of a pod and starts them in their order, as their play has noted
// them. The first process goes on, with the network, so that the unit of a .kube file does not take
// the pod for ended. If they do not start, the pod has failed. It reports whether the pod belongs to
// a play.
func (p *Player) RestartPod(ctx context.Context, r pod.Record) (played bool, err error) {
	if p.Pods.Status(r).InfraPID == 0 {
		return p.StartPod(ctx, r)
	}
	return p.inPlay(ctx, r, func(w *work, r pod.Record, one *kube.Pod) error {
		err := p.stopAll(ctx, one)
		if err == nil {
			err = w.start(ctx, r, one, one.Containers)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		return errors.Join(err, p.broken(ctx, w.st, one))
	})
}

// inPlay calls do for a pod of a play under the play's lock, and reports whether it is one. The pod's
// own service starts the first process only, and its pod is taken for none of a play.
func (p *Player) inPlay(ctx context.Context, r pod.Record, do func(w *work, r pod.Record, one *kube.Pod) error) (played bool, err error) {
	if p.InService() {
		return false, nil
	}
	all, err := p.store.all()
	if err != nil {
		return false, err
	}
	st := Owner(all, r.Name)
	if st == nil {
		return false, nil
	}
	done, err := p.ShareManager(ctx)
	if err != nil {
		return true, err
	}
	defer done()
	if st.Unit != "" {
		if u, err := p.Unit(ctx, st.Unit); err != nil || u.ActiveState != "active" {
			return true, hint.With(errors.Join(fmt.Errorf("pod %s belongs to %s, which does not run", r.Name, st.Unit), err), "systemctl start %s, with --user for a user's", st.Unit)
		}
	}
	return true, p.instead(ctx, st, []string{r.Name}, func(st *State) error {
		one := st.pod(r.Name)
		r, err := p.Pods.LookupExact(r.Name)
		if err != nil || one == nil {
			return err
		}
		return do(&work{Player: p, st: st, plan: st.Plan, seen: map[string]string{}}, r, one)
	})
}

// startFirst starts the service of a pod's first process, in the slice of the play, which is there.
func (w *work) startFirst(ctx context.Context, r pod.Record, p *kube.Pod) error {
	if err := errors.Join(w.store.lives(w.st.Name, p.Name), w.startPodSlice(ctx, p)); err != nil {
		return err
	}
	if err := w.StartPodService(ctx, r, service.Transient{Name: p.Unit, Adjust: func(u *unit.Service) { w.podUnit(u, w.st, p) }}); err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	step.Crash("pod of a play started")
	return nil
}
