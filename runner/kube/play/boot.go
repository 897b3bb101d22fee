// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
)

// The services and timers of a play are transient: a boot leaves only the records of its pods, and
// the note of the play. A .kube file plays anew then. What was played from a shell is started by
// podunit boot, from the note.

// startsAtBoot reports whether podunit boot starts a pod: one that Kubernetes would keep running, or
// the timer of a CronJob. A run of a CronJob, and what was played for once, are over.
func startsAtBoot(st *State, one *kube.Pod) bool {
	if st.Unit != "" || st.Of != "" || st.Once || !one.Start {
		return false
	}
	return one.Cron != nil && !one.Cron.Suspended || one.Cron == nil && one.Restart == "Always"
}

// noteForBoot has the next boot execute podunit boot, if it has something to start of this play.
func (p *Player) noteForBoot(ctx context.Context, st *State) {
	for _, one := range st.Plan.Pods {
		if startsAtBoot(st, one) {
			p.NoteForBoot(ctx, "pod "+one.Name)
			return
		}
	}
}

// Boot starts the pods of plays from a shell that are to run after a boot, and reports whether there
// are any. It waits for their first processes only: their containers are started by services of
// their own (see Again), since one may wait for another pod, or for a container that the caller
// starts.
func (p *Player) Boot(ctx context.Context) (some bool, err error) {
	all, err := p.store.all()
	if err != nil {
		return false, err
	}
	done, err := p.ShareManager(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	var errs []error
	for _, st := range all {
		for _, one := range st.Plan.Pods {
			if !startsAtBoot(st, one) {
				continue
			}
			switch err := p.bootPod(ctx, st, one.Name); {
			case errors.Is(err, pod.ErrNotFound): // somebody has removed the pod alone
			case err != nil:
				some = true
				errs = append(errs, fmt.Errorf("pod %s: %w", one.Name, err))
			default:
				some = true
			}
		}
	}
	return some, errors.Join(errs...)
}

// bootPod starts what Boot starts of a pod, or the timer of a CronJob.
func (p *Player) bootPod(ctx context.Context, st *State, name string) error {
	return p.locked(ctx, st.Name, func(st *State) error {
		one := st.pod(name)
		if one == nil {
			return pod.ErrNotFound // another play by now
		}
		w := &work{Player: p, st: st, plan: st.Plan}
		if one.Cron != nil {
			runs, err := w.runs(ctx, one)
			if err != nil || runs {
				return err
			}
			return errors.Join(w.startSlice(ctx), w.makeCron(ctx, one))
		}
		r, err := p.Pods.LookupExact(name)
		if err != nil || p.Pods.Status(r).InfraPID != 0 {
			return err
		}
		if err := errors.Join(w.startSlice(ctx), w.startFirst(ctx, r, one)); err != nil {
			return err
		}
		return p.askAgain(ctx, st, r, one, 0)
	})
}
