// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/ledger"
)

// look is how often units on trial are looked at.
const look = 500 * time.Millisecond

// mostAgain is how often a unit is started again that somebody else's restarts have used up the tries of.
const mostAgain = 5

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
	case s.refused(t.Restarts):
		return refused, "it was started too often"
	case s.Active == "failed":
		return failing, "it failed"
	case s.Restarts > t.Restarts:
		return failing, "systemd had to restart it"
	case s.Gone && len(t.Made) > 0:
		return failing, "it has ended, and is gone"
	case s.Health == "unhealthy":
		return failing, "its health check fails"
	case s.Active == "inactive":
		return good, "" // it ended well, or somebody stopped it
	case !over, s.Active == "deactivating": // somebody restarts or stops it, else it fails soon
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
	var (
		rows []Row
		errs []error
		lost = make(map[string]int) // how often a unit was started too often
	)
	for len(r.Ledger.Trials) > 0 {
		bad := make(map[string]error)
		again := make(map[string]State)
		for _, unit := range trialUnits(r.Ledger.Trials) {
			s, err := r.Units.State(ctx, unit)
			if err != nil {
				return rows, errors.Join(append(errs, err)...)
			}
			goesOn, changed := r.follow(unit, s)
			if changed {
				errs = append(errs, r.Ledger.Save())
			}
			if !goesOn {
				continue
			}
			trials := r.trialsOf(unit)
			v, why := judge(trials[0], s, r.now())
			if r.Ledger.Instead(unit, trials[0].Reference, trials[0].NewID) != "" {
				v, why = failing, "its rollback was cut short"
			}
			if v != open && s.Active != "active" && r.Units.Stopping(ctx) {
				return rows, errors.Join(append(errs, errStopping)...)
			}
			switch v {
			case open:
			case good:
				err := r.accept(trials)
				errs = append(errs, err)
				rows = append(rows, judged(trials, Updated, why, err)...)
			case failing:
				bad[unit] = errors.New(why)
			case refused:
				if lost[unit]++; lost[unit] <= mostAgain {
					again[unit] = s
					continue
				}
				err := fmt.Errorf("%s: somebody starts it so often that systemd refuses it; what it does with %s is not known", unit, trials[0].Reference)
				errs = append(errs, err, r.forget(trials))
				rows = append(rows, judged(trials, Failed, why, err)...)
			}
		}
		// How that ends is seen in the next round.
		r.restartAll(ctx, slices.Sorted(maps.Keys(again)), again)
		before := slices.Clone(r.Ledger.Trials)
		for unit, back := range r.rollBack(ctx, bad) {
			errs = append(errs, back.err)
			trials := slices.DeleteFunc(slices.Clone(before), func(t ledger.Trial) bool { return t.Unit != unit })
			rows = append(rows, judged(trials, back.outcome, bad[unit].Error(), back.err)...)
		}
		if len(r.Ledger.Trials) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return rows, errors.Join(append(errs, ctx.Err())...)
		case <-time.After(look):
		}
	}
	return rows, errors.Join(append(errs, r.clean(ctx))...)
}

// forget ends the trial of a unit without a verdict.
func (r *Runner) forget(trials []ledger.Trial) error {
	for _, t := range trials {
		r.Ledger.End(t)
	}
	return r.Ledger.Save()
}

// follow has the trials of a unit know which run of it they are about. The run that began them may
// have been cut before it saw the restart; a boot, or somebody's restart by hand, begins another run of the unit,
// which gets a window of its own. Trials of a unit that still is as it was before end without a
// verdict: what it runs is compared again.
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

func judged(trials []ledger.Trial, outcome Outcome, why string, err error) []Row {
	var rows []Row
	for _, t := range trials {
		row := rowOf(Target{Unit: t.Unit, Container: t.Container, Image: t.Reference, Policy: Registry, Runs: t.OldID})
		row.Updated, row.New, row.Digest, row.Note = outcome, t.NewID, t.Digest, why
		if outcome != Updated {
			row.New = t.OldID
		}
		if err != nil {
			row.Error = err.Error()
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

// rolled is how a rollback ended.
type rolled struct {
	outcome Outcome
	err     error
}

// rollBack has units run their old images again, side by side, remembers the digests that failed
// them, and sees the units up. why says of each unit what is wrong with it. Without Rollback, or
// without an old image, a unit is left as it is: its own Restart= stands.
func (r *Runner) rollBack(ctx context.Context, why map[string]error) map[string]rolled {
	if len(why) == 0 {
		return nil
	}
	var (
		out    = make(map[string]rolled, len(why))
		back   []string
		before = make(map[string]State)
		trials = make(map[string][]ledger.Trial)
	)
	for unit, err := range why {
		trials[unit] = r.trialsOf(unit)
		if slices.ContainsFunc(trials[unit], func(t ledger.Trial) bool { return t.OldID == "" || t.OldID == t.NewID }) || !r.Rollback {
			for _, t := range trials[unit] {
				r.Ledger.End(t)
				r.note(eventOf(t, r.now(), Failed, err))
			}
			out[unit] = rolled{Failed, fmt.Errorf("%s fails with its new image, and is left so: %w", unit, err)}
			continue
		}
		for _, t := range trials[unit] {
			r.Ledger.Hold(ledger.Held{
				Unit: unit, Container: t.Container, Reference: t.Reference,
				Bad: t.Digest, BadID: t.NewID, ImageID: t.OldID, Since: r.now(),
			})
		}
		back = append(back, unit)
	}
	if err := r.Ledger.Save(); err != nil {
		for unit := range why {
			out[unit] = rolled{Failed, err}
		}
		return out
	}
	r.reached("held")
	ctx = context.WithoutCancel(ctx) // a unit with an image that fails it is not left
	slices.Sort(back)
	for _, unit := range back {
		if s, err := r.Units.State(ctx, unit); err == nil {
			before[unit] = s
		}
	}
	errs := r.restartAll(ctx, back, before)
	r.reached("rolled back")
	for _, unit := range back {
		result, err := RolledBack, errs[unit]
		if err != nil {
			result = Failed
			err = fmt.Errorf("%s does not start with its old image either: %w", unit, err)
		}
		for _, t := range trials[unit] {
			r.Ledger.End(t) // not before: a cut in between is mended by the next run
			r.note(eventOf(t, r.now(), result, why[unit]))
		}
		out[unit] = rolled{result, err}
	}
	if err := r.Ledger.Save(); err != nil {
		out[back[0]] = rolled{out[back[0]].outcome, errors.Join(out[back[0]].err, err)}
	}
	return out
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
