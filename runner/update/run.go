// SPDX-License-Identifier: Apache-2.0

package update

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/ledger"
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
	// Reached is called after steps, with their names; tests kill the process there.
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
	row   Row
	local *Image // what the reference means now
	q     Question
	newer Answer
	take  bool // the newer image is to run
	begun bool // its trial is noted
	errs  []error
}

// restarts reports whether the unit is restarted for a new image.
func (w *work) restarts() bool { return w.Policy != Pull && !w.Ends }

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
	var (
		rows []Row
		errs []error
	)
	if !r.DryRun {
		r.intend(ctx, all)
		r.pull(ctx, all)
		r.reached("pulled")
		others, err := r.restart(ctx, all)
		rows, errs = append(rows, others...), append(errs, err)
		r.reached("restarted")
	}
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
	questions := make(map[Question]*Image)
	local := r.locals()
	for _, w := range all {
		if w.Problem != nil {
			w.fail(w.Problem)
			continue
		}
		if w.Policy != Disabled && !w.fromStorage() && pinned(w.Image) {
			w.row.Note = "pinned to a digest"
			continue
		}
		var err error
		if w.local, err = local(w.Image); err != nil {
			w.fail(err)
			continue
		}
		if w.Policy == Disabled || w.fromStorage() {
			continue
		}
		w.q = Question{Reference: w.Image, Access: w.Access}
		w.q.AuthFile = cmp.Or(w.AuthFile, r.AuthFile)
		if w.local != nil {
			w.q.Platform = w.local.Platform
		}
		questions[w.q] = w.local
	}
	answers := askAll(ctx, r.Images, questions, r.Jitter)
	for _, w := range all {
		if w.row.Updated == Failed || w.Policy == Disabled || pinned(w.Image) && !w.fromStorage() {
			continue
		}
		if w.fromStorage() {
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

// locals looks for images in the storage, for each reference once.
func (r *Runner) locals() func(reference string) (*Image, error) {
	type found struct {
		image *Image
		err   error
	}
	all := make(map[string]found)
	return func(reference string) (*Image, error) {
		f, ok := all[reference]
		if !ok {
			f.image, f.err = r.Images.Local(reference)
			all[reference] = f
		}
		return f.image, f.err
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
	w.take, w.row.Updated, w.row.New = !w.StorageOnly, Pending, w.local.ID
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

// intend keeps the images that are to be replaced, and notes what is about to be tried before a pull
// moves any name: after a power failure in between, a boot starts the units with the new image, and
// then that is judged by the next run.
func (r *Runner) intend(ctx context.Context, all []*work) {
	for _, w := range all {
		if !w.take {
			continue
		}
		err := r.keepOld(w)
		if err == nil && w.restarts() {
			var s State
			if s, err = r.Units.State(ctx, w.Unit); err == nil && s.runs() {
				r.Ledger.Begin(r.trial(w, s))
				w.begun = true
			}
		}
		if err != nil {
			w.take = false
			w.fail(err)
		}
	}
	if err := r.Ledger.Save(); err != nil {
		for _, w := range all {
			if w.take {
				w.take = false
				w.fail(err)
			}
		}
	}
	r.reached("kept")
}

// trial describes what is about to be tried with a unit that is as in s.
func (r *Runner) trial(w *work, s State) ledger.Trial {
	meant := ""
	if w.local != nil {
		meant = w.local.ID
	}
	return ledger.Trial{
		Meant: meant,
		Unit:  w.Unit, Container: w.Container, Reference: w.Image, OldID: w.row.Old, NewID: w.row.New,
		Digest: w.newer.Digest, Since: r.now(), Until: r.now().Add(r.window(s)), Was: s.Invocation,
	}
}

// pull gets all images before the first unit is stopped. An image whose pull fails fails the targets
// that wait for it, and no others.
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
			p.image, p.err = r.Images.Pull(ctx, w.q)
			done[w.q] = p
			r.reached("pulled one")
		}
		if p.err != nil {
			w.take = false
			w.fail(p.err)
			continue
		}
		w.row.New = p.image.ID
		if w.Runs == p.image.ID {
			// The registry packed it anew, or says another digest than it has.
			w.take, w.row.Updated, w.row.Note = false, Nothing, "it runs the image of this digest already"
		}
	}
	for _, w := range all {
		if w.take && !w.restarts() {
			w.take, w.row.Note = false, "pulled; the next start takes it"
		}
		if !w.take {
			r.giveUp(w)
		}
	}
}

// giveUp forgets what was intended for a target and is not tried. A trial of an earlier run goes on.
func (r *Runner) giveUp(w *work) {
	if t := r.Ledger.Trial(w.Unit, w.Container); w.begun && t != nil && t.Invocation == "" {
		r.Ledger.End(*t)
	}
}

// keepOld keeps the image that the target runs now for a rollback, and notes that it does,
// before anything else can take it away. An image that somebody has removed already is no hindrance:
// then there is nothing to go back to.
func (r *Runner) keepOld(w *work) error {
	old := w.Runs
	if old == "" && w.local != nil && w.newer.Newer {
		old = w.local.ID
	}
	w.row.Old = old
	if old == "" {
		return nil
	}
	r.Ledger.Keep(ledger.Kept{Unit: w.Unit, Container: w.Container, ImageID: old, Since: r.now()})
	if err := r.Ledger.Save(); err != nil {
		return err
	}
	err := r.Images.Keep(old)
	if errors.Is(err, image.ErrUnknown) {
		w.row.Old = ""
		return nil
	}
	return err
}

// restart restarts the units of what is to be taken: first those that others are ordered after, and
// side by side those that have nothing to do with each other. Those that are up are watched
// meanwhile. The rows are of units of an earlier run that were judged on the way.
func (r *Runner) restart(ctx context.Context, all []*work) ([]Row, error) {
	c := r.newCourse()
	for _, w := range all {
		if !w.take {
			continue
		}
		if _, ok := c.states[w.Unit]; !ok {
			s, err := r.Units.State(ctx, w.Unit)
			if err != nil {
				w.fail(err)
				continue
			}
			c.states[w.Unit] = s
			c.waiting = append(c.waiting, w.Unit)
		}
		c.works[w.Unit] = append(c.works[w.Unit], w)
	}
	if err := r.Ledger.Save(); err != nil { // what was given up
		c.failAll(c.waiting, err)
		return nil, nil
	}
	c.run(ctx, false)
	var rows []Row
	for _, s := range c.settled {
		list := c.works[s.unit]
		if len(list) == 0 {
			rows = append(rows, s.rows()...)
			c.errs = append(c.errs, s.err)
		}
		for _, w := range list {
			w.row.Updated, w.row.Note = s.outcome, s.why
			if s.err != nil {
				w.errs = append(w.errs, s.err)
			}
			if s.outcome == RolledBack {
				w.row.New = w.row.Old // a rollback is no error, as podman has it
			}
		}
	}
	return rows, errors.Join(c.errs...)
}

// window is how long a unit may take to get ready, and how long it is watched from then on.
func (r *Runner) window(s State) time.Duration {
	if r.Window != 0 {
		return r.Window
	}
	return min(cmp.Or(s.Window, maxWindow), maxWindow)
}

func (r *Runner) now() time.Time {
	if r.Now == nil {
		return time.Now().UTC()
	}
	return r.Now()
}

// reached tells of a step. A test finds the steps in the source, by r.reached.
func (r *Runner) reached(step string) {
	if r.Reached != nil {
		r.Reached(step)
	}
}
