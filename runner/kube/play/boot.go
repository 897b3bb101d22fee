// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/kube"
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
// are any. A pod that cannot be started keeps none of the others from it.
func (p *Player) Boot(ctx context.Context) (some bool, err error) {
	all, err := p.store.all()
	errs := []error{err}
	for _, st := range all {
		for _, one := range st.Plan.Pods {
			if !startsAtBoot(st, one) {
				continue
			}
			some = true
			if err := p.startNoted(ctx, st, one.Name); err != nil {
				errs = append(errs, fmt.Errorf("pod %s: %w", one.Name, err))
			}
		}
	}
	return some, errors.Join(errs...)
}
