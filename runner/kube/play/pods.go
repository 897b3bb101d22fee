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

// StartPod starts a pod that does not run, with all its containers, as its play has noted them. It
// reports whether the pod belongs to a play.
func (p *Player) StartPod(ctx context.Context, r pod.Record) (played bool, err error) {
	if p.InService() {
		return false, nil // the pod's own service, which starts the first process only
	}
	st, err := p.owner(r.Name)
	if st == nil {
		return false, err
	}
	if st.Unit != "" {
		if u, err := p.Unit(ctx, st.Unit); err != nil || u.ActiveState != "active" {
			return true, hint.With(errors.Join(fmt.Errorf("pod %s belongs to %s, which does not run", r.Name, st.Unit), err), "systemctl start %s, with --user for a user's", st.Unit)
		}
	}
	return true, p.startNoted(ctx, st, r.Name)
}

// RestartPod stops all containers of a pod and starts them in their order, as their play has noted
// them; a pod that does not run is started. The first process goes on, with the network, so that the
// unit of a .kube file does not take the pod for ended. It reports whether the pod belongs to a
// play.
func (p *Player) RestartPod(ctx context.Context, r pod.Record) (played bool, err error) {
	if p.Pods.Status(r).InfraPID == 0 {
		return p.StartPod(ctx, r)
	}
	st, err := p.owner(r.Name)
	if st == nil {
		return false, err
	}
	done, err := p.ShareManager(ctx)
	if err != nil {
		return true, err
	}
	defer done()
	return true, p.instead(ctx, st, []string{r.Name}, func(st *State) error {
		one := st.pod(r.Name)
		if one == nil {
			return nil // another play by now
		}
		if err := p.stopAll(ctx, one); err != nil {
			return err
		}
		w := &work{Player: p, st: st, plan: st.Plan, seen: map[string]string{}}
		return w.start(ctx, r, one, one.Containers)
	})
}

// owner is the play that has a pod, nil if none has.
func (p *Player) owner(pod string) (*State, error) {
	all, err := p.store.all()
	return Owner(all, pod), err
}

// startNoted starts a pod of a play, or the timer of a CronJob. What fails is not taken down:
// services try again as the restart policies say, and podunit kube down removes it all.
func (p *Player) startNoted(ctx context.Context, st *State, name string) error {
	done, err := p.ShareManager(ctx)
	if err != nil {
		return err
	}
	defer done()
	return p.instead(ctx, st, []string{name}, func(st *State) error {
		one := st.pod(name)
		if one == nil {
			return nil // another play by now
		}
		w := &work{Player: p, st: st, plan: st.Plan, seen: map[string]string{}}
		if one.Cron != nil {
			return errors.Join(w.startSlice(ctx), w.makeCron(ctx, one))
		}
		r, err := p.Pods.LookupExact(name)
		if err != nil || p.Pods.Status(r).InfraPID != 0 {
			return err
		}
		if err := w.startSlice(ctx); err != nil {
			return err
		}
		return w.startPod(ctx, r, one)
	})
}

// startPod starts the service of a pod, and then those of its containers.
func (w *work) startPod(ctx context.Context, r pod.Record, p *kube.Pod) error {
	if err := w.store.lives(w.st.Name, p.Name); err != nil {
		return err
	}
	if err := w.startPodSlice(ctx, p); err != nil {
		return err
	}
	if err := w.StartPodService(ctx, r, service.Transient{Name: p.Unit, Adjust: func(u *unit.Service) { w.podUnit(u, w.st, p) }}); err != nil {
		return fmt.Errorf("pod %s: %w", p.Name, err)
	}
	step.Crash("pod of a play started")
	return w.start(ctx, r, p, p.Containers)
}
