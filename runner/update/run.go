// SPDX-License-Identifier: Apache-2.0

package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"github.com/podunit/podunit/runner/ledger"
	"slices"
	"sync"
	"time"
)

// Options of a run.
type Options struct {
	DryRun   bool          // report only
	Rollback bool          // put the old image back where the new one fails
	AuthFile string        // for targets that name none
	Keep     int           // how many replaced images of a container are kept
	Window   time.Duration // how long a unit is watched; zero means its own start timeout
	Jitter   time.Duration // before the first question to each registry
	Now      func() time.Time
	// Log gets what is worth a line in the journal at once: an event, and what it is about.
	Log func(ledger.Event)
	// Reached is called between steps, with their names; tests kill the process there.
	Reached func(step string)
}

// maxWindow is the longest watch where nobody asked for another: the generator gives a start 15
// minutes for the sake of pulls, and an update has pulled before it restarts.
const maxWindow = 90 * time.Second

// Runner does one run after the other.
type Runner struct {
	Images Images
	Units  Units
	Ledger *ledger.Ledger
	Options
}

// work is a target on its way.
type work struct {
	Target
	row     Row
	local   *Image // what the reference means now
	q       Question
	newer   Answer
	take    bool // the newer image is to run
	restart bool
	errs    []error
}

func (w *work) fail(err error) {
	w.row.Updated = Failed
	w.errs = append(w.errs, err)
}

// Run looks after the targets and returns a row for each, in the order of their units. Units
// that were restarted are on trial afterwards: see Judge. The error joins what went wrong with
// any of them; the rows say it as well.
func (r *Runner) Run(ctx context.Context, targets []Target) ([]Row, error) {
	all := make([]*work, 0, len(targets))
	for _, t := range targets {
		w := &work{Target: t, row: rowOf(t)}
		all = append(all, w)
	}
	slices.SortStableFunc(all, func(a, b *work) int {
		return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Container, b.Container))
	})
	r.ask(ctx, all)
	r.reached("asked")
	if !r.DryRun {
		r.pull(ctx, all)
		r.reached("pulled")
		r.restart(ctx, all)
		r.reached("restarted")
	}
	rows := make([]Row, 0, len(all))
	var errs []error
	for _, w := range all {
		if err := errors.Join(w.errs...); err != nil {
			w.row.Error = err.Error()
			errs = append(errs, fmt.Errorf("%s: %w", w.Unit, err))
		}
		rows = append(rows, w.row)
	}
	return rows, errors.Join(errs...)
}

// ask finds out for each target whether there is something newer.
func (r *Runner) ask(ctx context.Context, all []*work) {
	var questions []Question
	for _, w := range all {
		if w.Problem != nil {
			w.fail(w.Problem)
			continue
		}
		if w.Policy != Disabled && w.Policy != Local && pinned(w.Image) {
			w.row.Note = "pinned to a digest"
			continue
		}
		var err error
		if w.local, err = r.Images.Local(w.Image); err != nil {
			w.fail(err)
			continue
		}
		if w.Policy == Disabled || w.Policy == Local {
			continue
		}
		w.q = Question{Reference: w.Image, AuthFile: cmp.Or(w.AuthFile, r.AuthFile)}
		if w.local != nil {
			w.q.Platform = w.local.Platform
		}
		if !slices.Contains(questions, w.q) {
			questions = append(questions, w.q)
		}
	}
	answers := askAll(ctx, r.Images, questions, r.Jitter)
	for _, w := range all {
		if w.row.Updated == Failed || w.Policy == Disabled || pinned(w.Image) && w.Policy != Local {
			continue
		}
		if w.Policy == Local {
			r.compare(w)
			continue
		}
		a := answers[w.q]
		if a.err != nil {
			w.fail(a.err)
			continue
		}
		w.newer = a.Answer
		r.decide(w)
	}
}

// compare decides for a target whose image changes in the storage only, or has changed there:
// somebody else may have pulled it.
func (r *Runner) compare(w *work) {
	if w.local == nil || w.Runs == "" || w.Runs == w.local.ID {
		return
	}
	if r.Ledger.Instead(w.Unit, w.Image, w.local.ID) != "" {
		w.row.Note = "failed with " + w.local.ID[:min(12, len(w.local.ID))] + " before"
		return
	}
	w.take, w.row.Updated, w.row.New = true, Pending, w.local.ID
}

// decide decides for a target whose registry has answered.
func (r *Runner) decide(w *work) {
	w.row.Digest = w.newer.Digest
	switch {
	case r.Ledger.FailedWith(w.Unit, w.Container, w.Image, w.newer.Digest):
		w.row.Note = "failed with " + w.newer.Digest.String() + " before; the next one will be tried"
	case w.newer.Newer:
		w.take, w.row.Updated = true, Pending
	default:
		r.compare(w)
	}
	if w.Policy == Check {
		w.take = false
	}
}

// pull gets all images before the first unit is stopped. An image whose pull fails fails the
// targets that wait for it, and no others.
func (r *Runner) pull(ctx context.Context, all []*work) {
	type pulled struct {
		image *Image
		err   error
	}
	done := make(map[Question]pulled)
	for _, w := range all {
		if !w.take || !w.newer.Newer {
			continue
		}
		p, ok := done[w.q]
		if !ok {
			p.err = r.keepOld(w)
			if p.err == nil {
				p.image, p.err = r.Images.Pull(ctx, w.q)
			}
			done[w.q] = p
			r.reached("pulled " + w.Image)
		} else if p.err == nil {
			p.err = r.keepOld(w)
		}
		if p.err != nil {
			w.take = false
			w.fail(p.err)
			continue
		}
		w.row.New = p.image.ID
	}
	for _, w := range all {
		if w.take && w.Policy == Pull {
			w.take, w.row.Note = false, "pulled; the next start takes it"
		}
	}
}

// keepOld keeps the image that the target runs now for a rollback, and notes that it does,
// before anything else can take it away.
func (r *Runner) keepOld(w *work) error {
	old := w.Runs
	if old == "" && w.local != nil {
		old = w.local.ID
	}
	w.row.Old = old
	if old == "" || slices.ContainsFunc(r.Ledger.Kept, func(k ledger.Kept) bool { return k.Unit == w.Unit && k.ImageID == old }) {
		return nil
	}
	r.Ledger.Kept = append(r.Ledger.Kept, ledger.Kept{Unit: w.Unit, ImageID: old, Since: r.now()})
	if err := r.Ledger.Save(); err != nil {
		return err
	}
	return r.Images.Keep(old)
}

// restart restarts the units of what is to be taken: first those that others are ordered
// after, and side by side those that have nothing to do with each other.
func (r *Runner) restart(ctx context.Context, all []*work) {
	byUnit := make(map[string][]*work)
	states := make(map[string]State)
	for _, w := range all {
		if !w.take {
			continue
		}
		if _, ok := states[w.Unit]; !ok {
			s, err := r.Units.State(ctx, w.Unit)
			if err != nil {
				w.fail(err)
				continue
			}
			states[w.Unit] = s
		}
		if !states[w.Unit].runs() {
			w.row.Note = "not running; the next start takes it"
			continue
		}
		byUnit[w.Unit] = append(byUnit[w.Unit], w)
	}
	for _, units := range inOrder(byUnit, states) {
		var wg sync.WaitGroup
		for _, unit := range units {
			if err := r.beginTrial(unit, byUnit[unit], states[unit]); err != nil {
				for _, w := range byUnit[unit] {
					w.fail(err)
				}
				continue
			}
			r.reached("trial " + unit)
			wg.Go(func() { r.restartOne(ctx, unit, byUnit[unit]) })
		}
		wg.Wait()
		// One after the other: the ledger has one writer.
		for _, unit := range units {
			r.afterRestart(ctx, unit, byUnit[unit])
		}
	}
}

// inOrder puts units into groups: each comes after all that it is ordered after. Units in a
// circle come last, together.
func inOrder(byUnit map[string][]*work, states map[string]State) [][]string {
	left := make([]string, 0, len(byUnit))
	for unit := range byUnit {
		left = append(left, unit)
	}
	slices.Sort(left)
	var groups [][]string
	for len(left) > 0 {
		var group, rest []string
		for _, unit := range left {
			waits := slices.ContainsFunc(states[unit].After, func(a string) bool { return a != unit && slices.Contains(left, a) })
			if waits {
				rest = append(rest, unit)
			} else {
				group = append(group, unit)
			}
		}
		if len(group) == 0 {
			group, rest = rest, nil
		}
		groups = append(groups, group)
		left = rest
	}
	return groups
}

// beginTrial notes what is about to be tried, so that a cut from here on is judged by the next
// run.
func (r *Runner) beginTrial(unit string, list []*work, s State) error {
	window := r.Window
	if window == 0 {
		window = min(cmp.Or(s.Window, maxWindow), maxWindow)
	}
	for _, w := range list {
		r.Ledger.Begin(ledger.Trial{
			Unit: unit, Container: w.Container, Reference: w.Image, OldID: w.row.Old, NewID: w.row.New,
			Digest: w.newer.Digest, Since: r.now(), Until: r.now().Add(window),
		})
		if w.row.Old != w.row.New {
			r.Ledger.Release(unit, w.Container)
		}
	}
	return r.Ledger.Save()
}

func (r *Runner) restartOne(ctx context.Context, unit string, list []*work) {
	err := r.Units.Restart(ctx, unit)
	for _, w := range list {
		w.restart = err == nil
		if err != nil {
			w.errs = append(w.errs, fmt.Errorf("with %s: %w", w.Image, err))
		}
	}
}

// afterRestart notes how the restart of a unit ended, and rolls back one that failed.
func (r *Runner) afterRestart(ctx context.Context, unit string, list []*work) {
	ok := true
	for _, w := range list {
		ok = ok && w.restart
	}
	if !ok {
		why := errors.Join(list[0].errs...)
		var trials []ledger.Trial
		for _, w := range list {
			if t := r.Ledger.Trial(unit, w.Container); t != nil {
				trials = append(trials, *t)
			}
		}
		outcome, err := r.rollBack(ctx, unit, trials, why)
		for _, w := range list {
			w.row.Updated = outcome
			if outcome == RolledBack {
				w.row.New, w.row.Note = w.row.Old, errors.Join(w.errs...).Error()
				w.errs = nil // a rollback is no error, as podman has it
			}
			if err != nil {
				w.errs = append(w.errs, err)
			}
		}
		return
	}
	s, err := r.Units.State(ctx, unit)
	for _, w := range list {
		w.row.Updated = Updated
		if t := r.Ledger.Trial(unit, w.Container); t != nil && err == nil {
			t.Restarts, t.Invocation = s.Restarts, s.Invocation
		}
	}
	if err := r.Ledger.Save(); err != nil {
		list[0].errs = append(list[0].errs, err)
	}
}

func (r *Runner) now() time.Time {
	if r.Now == nil {
		return time.Now().UTC()
	}
	return r.Now()
}

func (r *Runner) reached(step string) {
	if r.Reached != nil {
		r.Reached(step)
	}
}
