// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/ledger"
)

// look is how often units on trial are looked at.
const look = 500 * time.Millisecond

// unclearFor is how long it may be impossible to tell how a unit does before the next run is left
// to judge it.
const unclearFor = time.Minute

// endedFor is how long a unit must seem to have ended by itself.
const endedFor = 3 * time.Second

// verdict is what is known of a unit on trial.
type verdict int

const (
	open verdict = iota
	good
	failing
	refused // somebody else's restarts have used up the tries of the unit
)

// judge says how a unit does. Of a restart by the manager itself it is the image that is
// thought to be the reason. A restart by hand is none: see follow.
func judge(t ledger.Trial, s State, now time.Time) (verdict, string) {
	over := !now.Before(t.Until)
	switch {
	case s.Asked && s.Active != "active" && s.Active != "activating":
		return open, "" // somebody stops or restarts it
	case s.refused(t.Restarts):
		return refused, "it was started too often"
	case s.Active == "failed":
		return failing, "it failed"
	case s.Restarts > t.Restarts:
		return failing, "systemd had to restart it"
	case s.Gone && len(t.Made) > 0:
		return failing, "it has ended, and is gone"
	case s.Ended:
		return failing, "it has ended"
	case s.Health == "unhealthy":
		return failing, "its health check fails"
	case s.Active == "inactive":
		return good, "" // somebody stopped it, or it was a job and has done it
	case !over, s.Active == "deactivating": // what that comes to is seen soon
		return open, ""
	case s.Active != "active":
		return failing, fmt.Sprintf("it is %s at the end of its time", s.Active)
	case s.Health == "starting":
		return failing, "it did not get healthy in its time"
	}
	return good, ""
}

// errStopping is why nothing is judged while the machine goes down: units end then, and not for
// their images.
var errStopping = errors.New("the service manager is shutting down; the next update judges what was tried")

// Judge watches the units on trial until the window of each is over, and rolls back those that
// do not do well. It also judges what an earlier run had no time for. The rows are those of
// units that were judged, the error what could not be put right.
func (r *Runner) Judge(ctx context.Context) ([]Row, error) {
	c := r.newCourse()
	c.run(ctx, true)
	var rows []Row
	for _, s := range c.settled {
		rows = append(rows, s.rows()...)
		c.errs = append(c.errs, s.err)
	}
	err := errors.Join(append(c.errs, c.halt)...)
	if c.halt == nil {
		err = errors.Join(err, r.clean(ctx))
	}
	return rows, err
}

// judge looks at all units on trial that no restart is under way of.
func (c *course) judge(ctx context.Context) {
	for _, unit := range trialUnits(c.Ledger.Trials) {
		if c.halt == nil {
			c.halt = ctx.Err()
		}
		if c.halt != nil {
			return
		}
		if !c.busy(unit) && !c.left[unit] {
			c.halt = c.judgeOne(ctx, unit)
		}
	}
}

// judgeOne looks at a unit on trial. One that cannot be looked at is not judged this time. An error
// says that nothing can be judged now.
func (c *course) judgeOne(ctx context.Context, unit string) error {
	s, err := c.Units.State(ctx, unit)
	if err == nil && s.Active == "inactive" && !s.Gone {
		s.Ended, err = c.Units.Ended(ctx, unit)
	}
	if err != nil {
		c.doubt(unit, err)
		return nil
	}
	goesOn, changed := c.follow(unit, s)
	if changed {
		if err := c.Ledger.Save(); err != nil {
			return err
		}
	}
	if !goesOn {
		return nil
	}
	trials := c.trialsOf(unit)
	v, why := judge(trials[0], s, c.now())
	if v == open || v == good {
		bad, err := c.ailing(ctx, trials)
		if err != nil {
			c.doubt(unit, err)
			return nil
		}
		if bad != "" {
			v, why = failing, bad
		}
	}
	delete(c.unclear, unit)
	if c.Ledger.Instead(unit, trials[0].Reference, trials[0].NewID) != "" {
		v, why = failing, "its rollback was cut short"
	}
	if s.Ended && v == failing {
		// What tells that somebody stopped it may be late.
		since, seen := c.ended[unit]
		if !seen {
			since = c.now()
			c.ended[unit] = since
		}
		if c.now().Sub(since) < endedFor {
			v = open
		}
	} else {
		delete(c.ended, unit)
	}
	if v != open && s.Active != "active" && c.Units.Stopping(ctx) {
		return errStopping
	}
	switch v {
	case open:
	case good:
		c.settle(unit, trials, Updated, why, c.accept(trials))
	case failing:
		c.goBack(unit, errors.New(why))
	case refused:
		if c.lost[unit]++; c.lost[unit] <= mostAgain {
			c.next = append(c.next, flight{unit: unit, kind: again})
			return nil
		}
		err := fmt.Errorf("%s: somebody starts it so often that systemd refuses it; how it does with %s is not known", unit, trials[0].Reference)
		c.settle(unit, trials, Failed, why, errors.Join(err, c.forget(trials)))
	}
	return nil
}

// doubt notes that it cannot be told how a unit does. If that lasts, the unit stays on trial for
// the next run.
func (c *course) doubt(unit string, err error) {
	since, seen := c.unclear[unit]
	if !seen {
		since = c.now()
		c.unclear[unit] = since
	}
	if c.now().Sub(since) >= unclearFor {
		c.left[unit] = true
		c.errs = append(c.errs, fmt.Errorf("%s: how it does cannot be told, so the next update judges it: %w", unit, err))
	}
}

// ailing finds a unit that was taken down and raised with one on trial and does not do well since,
// and says what is wrong with it. One that is on trial itself is judged for itself.
func (c *course) ailing(ctx context.Context, trials []ledger.Trial) (string, error) {
	for name, before := range neededBy(trials) {
		if c.busy(name) || len(c.trialsOf(name)) > 0 {
			continue
		}
		s, err := c.Units.State(ctx, name)
		if err != nil {
			return "", err
		}
		if s.Asked || s.Invocation == before {
			continue
		}
		what := ""
		switch {
		case s.refused(0):
		case s.Active == "failed":
			what = "failed"
		case s.Restarts > 0:
			what = "had to be restarted by systemd"
		case s.Health == "unhealthy":
			what = "is unhealthy"
		}
		if what != "" {
			return fmt.Sprintf("%s, which needs it, %s", name, what), nil
		}
	}
	return "", nil
}

// forget ends the trial of a unit without a verdict.
func (r *Runner) forget(trials []ledger.Trial) error {
	for _, t := range trials {
		r.Ledger.End(t)
	}
	return r.Ledger.Save()
}

// follow has the trials of a unit know which run of it they are about. The run that began them may
// have been cut before it saw the restart; a boot, or somebody's restart by hand, begins another
// run of the unit, which gets a window of its own. Trials of a unit that still is as it was before
// end without a verdict: what it runs is compared again.
func (r *Runner) follow(unit string, s State) (goesOn, changed bool) {
	for _, t := range r.trialsOf(unit) {
		mine := r.Ledger.Trial(unit, t.Container)
		if t.NewID == "" {
			// The run was cut in its pulls, or soon after: what does the name mean now?
			if now, err := r.Images.Local(t.Reference); err == nil && now != nil && now.ID != t.Meant {
				mine.NewID, t.NewID = now.ID, now.ID
			}
			if t.NewID == "" || t.NewID == t.OldID {
				r.Ledger.End(t)
				changed = true
				continue
			}
		}
		switch {
		case t.Invocation == s.Invocation && t.Invocation != "":
			goesOn = true
		case r.Ledger.Instead(unit, t.Reference, t.NewID) != "":
			goesOn = true // its rollback was cut
		case t.Invocation == "" && (s.Active == "inactive" || s.Invocation == t.Was || s.Active == "active" && s.Images[t.Container] == t.OldID && t.OldID != ""):
			r.Ledger.End(t)
			changed = true
		case t.Invocation == "" && s.Active == "deactivating":
		case t.Invocation == "" || s.Restarts <= t.Restarts && s.Active != "inactive":
			mine.Invocation, mine.Restarts, mine.Until = s.Invocation, s.Restarts, r.now().Add(t.Until.Sub(t.Since))
			mine.Since = r.now()
			goesOn, changed = true, true
		default:
			goesOn = true
		}
	}
	return goesOn, changed
}

func (r *Runner) trialsOf(unit string) []ledger.Trial {
	return slices.DeleteFunc(slices.Clone(r.Ledger.Trials), func(t ledger.Trial) bool { return t.Unit != unit })
}

func trialUnits(trials []ledger.Trial) []string {
	var units []string
	for _, t := range trials {
		if !slices.Contains(units, t.Unit) {
			units = append(units, t.Unit)
		}
	}
	return units
}

// rows tells what became of each container of a unit.
func (s settled) rows() []Row {
	var rows []Row
	for _, t := range s.trials {
		row := rowOf(Target{Unit: t.Unit, Container: t.Container, Image: t.Reference, Policy: Registry, Runs: t.OldID})
		row.Updated, row.New, row.Digest, row.Note = s.outcome, t.NewID, t.Digest, s.why
		if s.outcome != Updated {
			row.New = t.OldID
		}
		if s.err != nil {
			row.Error = s.err.Error()
		}
		rows = append(rows, row)
	}
	return rows
}

// accept ends the trial of a unit that does well.
func (r *Runner) accept(trials []ledger.Trial) error {
	for _, t := range trials {
		r.Ledger.End(t)
		r.note(ledger.Event{
			Time: r.now(), Unit: t.Unit, Container: t.Container, Reference: t.Reference,
			Old: t.OldID, New: t.NewID, Digest: t.Digest, Result: string(Updated),
		})
	}
	return r.Ledger.Save()
}

func eventOf(t ledger.Trial, now time.Time, result Outcome, why error) ledger.Event {
	return ledger.Event{
		Time: now, Unit: t.Unit, Container: t.Container, Reference: t.Reference,
		Old: t.OldID, New: t.NewID, Digest: t.Digest, Result: string(result), Why: why.Error(),
	}
}

func (r *Runner) note(e ledger.Event) {
	r.Ledger.History = append(r.Ledger.History, e)
	if r.Log != nil {
		r.Log(e)
	}
}

// forgetAfter is how long what is remembered of a unit outlives it: its file may be back tomorrow.
const forgetAfter = 30 * 24 * time.Hour

// clean gives replaced images free, but for the newest Keep of each container and those that a
// held unit runs. Units that have been gone for long are forgotten.
func (r *Runner) clean(ctx context.Context) error {
	forgotten := func(unit string, since time.Time) bool {
		if r.now().Sub(since) < forgetAfter {
			return false
		}
		s, err := r.Units.State(ctx, unit)
		return err == nil && s.Gone
	}
	held := len(r.Ledger.Held)
	r.Ledger.Held = slices.DeleteFunc(r.Ledger.Held, func(h ledger.Held) bool { return forgotten(h.Unit, h.Since) })
	type of struct{ unit, container string }
	var (
		stay []ledger.Kept
		seen = make(map[of]int)
		drop []string
	)
	for _, k := range slices.Backward(r.Ledger.Kept) {
		needed := slices.ContainsFunc(r.Ledger.Held, func(h ledger.Held) bool { return h.ImageID == k.ImageID })
		me := of{k.Unit, k.Container}
		if !k.Bad {
			seen[me]++
		}
		if needed || !k.Bad && seen[me] <= r.Keep && !forgotten(k.Unit, k.Since) {
			stay = append(stay, k)
		} else {
			drop = append(drop, k.ImageID)
		}
	}
	if len(drop) == 0 && held == len(r.Ledger.Held) {
		return nil
	}
	slices.Reverse(stay)
	// The ledger first: an image that stays without an entry is found by a prune, one that is gone
	// with its entry would be put back by a rollback.
	r.Ledger.Kept = stay
	errs := []error{r.Ledger.Save()}
	slices.Sort(drop)
	for _, id := range slices.Compact(drop) {
		if !slices.ContainsFunc(stay, func(k ledger.Kept) bool { return k.ImageID == id }) {
			errs = append(errs, r.Images.Drop(id))
		}
	}
	return errors.Join(errs...)
}
