// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
		if !slices.ContainsFunc(st.Plan.Pods, func(one *kube.Pod) bool { return startsAtBoot(st, one) }) {
			continue
		}
		err := p.locked(ctx, st.Name, func(st *State) error {
			found, err := p.bootPlay(ctx, st)
			some = some || found
			return err
		})
		some = some || err != nil
		errs = append(errs, err)
	}
	return some, errors.Join(errs...)
}

// bootPlay starts what Boot starts of a play, and reports whether there is something. All the first
// processes come first: Again keeps the play's lock while init containers run, and one of those may
// wait for another pod of the play.
func (p *Player) bootPlay(ctx context.Context, st *State) (some bool, err error) {
	var errs []error
	var asks []func() error
	for _, one := range st.Plan.Pods {
		if !startsAtBoot(st, one) {
			continue
		}
		r, waits, err := p.bootPod(ctx, st, one)
		if errors.Is(err, pod.ErrNotFound) {
			continue // somebody has removed the pod alone
		}
		some = true
		if waits {
			asks = append(asks, func() error { return p.askAgain(ctx, st, r, one, 0) })
		} else if err != nil {
			errs = append(errs, fmt.Errorf("pod %s: %w", one.Name, err))
		}
	}
	for _, ask := range asks {
		errs = append(errs, ask())
	}
	return some, errors.Join(errs...)
}

// bootPod starts the timer of a CronJob, or the first process of a pod, and reports whether a pod
// waits for its containers: it has been started, by a boot that was killed then, too.
func (p *Player) bootPod(ctx context.Context, st *State, one *kube.Pod) (r pod.Record, waits bool, err error) {
	w := &work{Player: p, st: st, plan: st.Plan}
	if one.Cron != nil {
		runs, err := w.runs(ctx, one)
		if err != nil || runs {
			return r, false, err
		}
		return r, false, errors.Join(w.startSlice(ctx), w.makeCron(ctx, one))
	}
	r, err = p.Pods.LookupExact(one.Name)
	if err != nil {
		return r, false, err
	}
	// What a killed boot has started may be on its way up.
	if err := p.whileActivating(ctx, one.Unit); err != nil {
		return r, false, err
	}
	if p.Pods.Status(r).InfraPID != 0 {
		begun, err := p.begins(ctx, st, r, one)
		return r, err == nil && !begun, err
	}
	err = errors.Join(w.startSlice(ctx), w.startFirst(ctx, r, one))
	return r, err == nil, err
}

// whileActivating waits until a unit is up, or is not; its own limit ends that.
func (p *Player) whileActivating(ctx context.Context, name string) error {
	for {
		u, err := p.Unit(ctx, name)
		if err != nil || u.ActiveState != "activating" {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// begins reports whether one of a running pod's containers is up or on its way, or a new start of
// all is asked for or under way (see Again).
func (p *Player) begins(ctx context.Context, st *State, r pod.Record, one *kube.Pod) (bool, error) {
	var units []string
	for _, c := range one.Containers {
		units = append(units, c.Unit)
	}
	for _, note := range []string{all, underWay} {
		if v := p.store.verdict(st.Name, one.Name, note); v.ID == r.ID {
			units = append(units, v.Why+".timer", v.Why+".service")
		}
	}
	for _, name := range units {
		u, err := p.Unit(ctx, name)
		if err != nil || u.ActiveState != "inactive" && u.ActiveState != "failed" {
			return err == nil, err
		}
	}
	return false, nil
}
