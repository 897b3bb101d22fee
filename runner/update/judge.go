// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"errors"
	"fmt"
	"github.com/podunit/podunit/runner/ledger"
	"slices"
	"time"
)

// look is how often units on trial are looked at.
const look = 500 * time.Millisecond

// verdict is what is known of a unit on trial.
type verdict int

const (
	open verdict = iota
	good
	bad
)

// judge says how a unit does. Of a restart by the manager itself it is the image that is
// thought to be the reason; a restart by hand begins another run of the unit, whose restarts
// are counted anew, and is none.
func judge(t ledger.Trial, s State, now time.Time) (verdict, string) {
	over := !now.Before(t.Until)
	switch {
	case s.Active == "failed":
		return bad, "it failed"
	case s.Restarts > t.Restarts || s.Restarts > 0 && s.Invocation != t.Invocation:
		return bad, "systemd had to restart it"
	case s.Health == "unhealthy":
		return bad, "its health check fails"
	case s.Active == "inactive":
		return good, "" // it ended well, or somebody stopped it
	case t.Invocation == "" && s.Active == "active":
		return good, ""
	case !over:
		return open, ""
	case s.Active != "active" && s.Active != "inactive":
		return bad, fmt.Sprintf("it is %s at the end of its time", s.Active)
	case s.Health == "starting":
		return bad, "it did not get healthy in its time"
	}
	return good, ""
}

// Judge watches the units on trial until the window of each is over, and rolls back those that
// do not do well. It also judges what an earlier run had no time for. The rows are those of
// units that were judged, the error what could not be put right.
func (r *Runner) Judge(ctx context.Context) ([]Row, error) {
	var (
		rows []Row
		errs []error
	)
	for len(r.Ledger.Trials) > 0 {
		for _, unit := range trialUnits(r.Ledger.Trials) {
			trials := slices.DeleteFunc(slices.Clone(r.Ledger.Trials), func(t ledger.Trial) bool { return t.Unit != unit })
			s, err := r.Units.State(ctx, unit)
			if err != nil {
				return rows, errors.Join(append(errs, err)...)
			}
			v, why := judge(trials[0], s, r.now())
			if r.Ledger.Instead(unit, trials[0].Reference, trials[0].NewID) != "" {
				v, why = bad, "its rollback was cut short"
			}
			outcome := Updated
			switch v {
			case open:
				continue
			case good:
				if trials[0].Invocation == "" {
					// The run that began this trial was cut before it saw the restart. What the
					// unit runs is compared again by this run.
					for _, t := range trials {
						r.Ledger.End(t)
					}
					errs = append(errs, r.Ledger.Save())
					continue
				}
				err = r.accept(trials)
			case bad:
				outcome, err = r.rollBack(ctx, unit, trials, errors.New(why))
			}
			errs = append(errs, err)
			rows = append(rows, judged(trials, outcome, why, err)...)
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
	return rows, errors.Join(append(errs, r.clean())...)
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

// rollBack has a unit run its old images again, remembers the digests that failed it, and sees
// the unit up. Without Rollback, or without an old image, the unit is left as it is: its own
// Restart= stands.
func (r *Runner) rollBack(ctx context.Context, unit string, trials []ledger.Trial, why error) (Outcome, error) {
	event := func(t ledger.Trial, result Outcome) ledger.Event {
		return ledger.Event{
			Time: r.now(), Unit: unit, Container: t.Container, Reference: t.Reference,
			Old: t.OldID, New: t.NewID, Digest: t.Digest, Result: string(result), Why: why.Error(),
		}
	}
	back := r.Rollback
	for _, t := range trials {
		back = back && t.OldID != "" && t.OldID != t.NewID
	}
	for _, t := range trials {
		if back {
			r.Ledger.Hold(ledger.Held{
				Unit: unit, Container: t.Container, Reference: t.Reference,
				Bad: t.Digest, BadID: t.NewID, ImageID: t.OldID, Since: r.now(),
			})
		} else {
			r.Ledger.End(t)
			r.note(event(t, Failed))
		}
	}
	if err := r.Ledger.Save(); err != nil {
		return Failed, err
	}
	r.reached("held " + unit)
	if !back {
		return Failed, nil
	}
	err := r.Units.Restart(context.WithoutCancel(ctx), unit)
	result := RolledBack
	if err != nil {
		result = Failed
		err = fmt.Errorf("%s does not start with its old image either: %w", unit, err)
	}
	for _, t := range trials {
		r.Ledger.End(t) // not before: a cut in between is mended by the next run
		r.note(event(t, result))
	}
	return result, errors.Join(err, r.Ledger.Save())
}

func (r *Runner) note(e ledger.Event) {
	r.Ledger.History = append(r.Ledger.History, e)
	if r.Log != nil {
		r.Log(e)
	}
}

// clean gives replaced images free, but for the newest Keep of each unit and those that a held
// unit runs.
func (r *Runner) clean() error {
	var (
		stay []ledger.Kept
		seen = make(map[string]int)
		drop []string
	)
	for _, k := range slices.Backward(r.Ledger.Kept) {
		seen[k.Unit]++
		held := slices.ContainsFunc(r.Ledger.Held, func(h ledger.Held) bool { return h.ImageID == k.ImageID })
		if held || seen[k.Unit] <= r.Keep {
			stay = append(stay, k)
		} else {
			drop = append(drop, k.ImageID)
		}
	}
	if len(drop) == 0 {
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
