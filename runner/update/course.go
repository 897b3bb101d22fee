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

// restartsAtOnce is how many units are restarted side by side.
const restartsAtOnce = 8

// mostAgain is how often a unit is started again whose tries somebody else's restarts have used up.
const mostAgain = 5

// A course restarts units and watches those that are up, all side by side: a unit waits for those
// that it is ordered after, and for no others. The restarts are on goroutines of their own; only
// the one that runs the course uses the ledger.
type course struct {
	*Runner
	waiting []string // units that are to be restarted with their new images
	works   map[string][]*work
	states  map[string]State     // of units, before their restart
	since   map[string]time.Time // when a waiting unit was first seen to be stopped or restarted by somebody
	wanted  map[string]bool      // waiting units that another one has taken down

	next   []flight // restarts that go before those of waiting units: back to an old image, or again
	flying map[string]flight
	landed chan flight

	lost    map[string]int       // how often a unit on trial was started too often
	ended   map[string]time.Time // when a unit on trial was first seen to have ended by itself
	unclear map[string]time.Time // since when it cannot be told how a unit on trial does
	left    map[string]bool      // units on trial that the next run judges, because of that
	settled []settled
	errs    []error // of units that are not on trial
	halt    error   // why no more units are judged
}

// flight is one restart of one unit.
type flight struct {
	unit   string
	kind   kind
	before State
	trials []ledger.Trial // of a way back
	why    error          // of a way back: what is wrong with the new image
	err    error          // how it ended
}

type kind int

const (
	forth  kind = iota // to the new image
	back               // to the old image
	again              // with the same image, because somebody had used up the tries of the unit
	raised             // of a unit that was taken down with another
)

// settled is a unit of which it is known what became of it.
type settled struct {
	unit    string
	trials  []ledger.Trial
	outcome Outcome
	why     string
	err     error
}

func (r *Runner) newCourse() *course {
	return &course{
		Runner: r, works: make(map[string][]*work), states: make(map[string]State), since: make(map[string]time.Time), wanted: make(map[string]bool),
		flying: make(map[string]flight), landed: make(chan flight, restartsAtOnce), lost: make(map[string]int), ended: make(map[string]time.Time),
		unclear: make(map[string]time.Time), left: make(map[string]bool),
	}
}

// run goes on until all restarts are done and, if judging, until nothing is on trial any more.
func (c *course) run(ctx context.Context, judging bool) {
	for {
		c.depart(ctx)
		c.judge(ctx)
		if len(c.next) > 0 && len(c.flying) < restartsAtOnce {
			continue // at once
		}
		restarting := len(c.next)+len(c.flying)+len(c.waiting) > 0
		if !restarting && (!judging || c.halt != nil || !c.mayJudge()) {
			return
		}
		select {
		case f := <-c.landed:
			c.land(ctx, f)
		case <-time.After(look):
		}
	}
}

// mayJudge reports whether a unit is on trial that is not left to the next run.
func (c *course) mayJudge() bool {
	return slices.ContainsFunc(c.Ledger.Trials, func(t ledger.Trial) bool { return !c.left[t.Unit] })
}

// busy reports whether a restart of the unit goes on or is to come.
func (c *course) busy(unit string) bool {
	_, flies := c.flying[unit]
	return flies || slices.Contains(c.waiting, unit) || slices.ContainsFunc(c.next, func(f flight) bool { return f.unit == unit })
}

// depart begins the restarts whose turn it is.
func (c *course) depart(ctx context.Context) {
	r := c.Runner
	for len(c.next) > 0 && len(c.flying) < restartsAtOnce {
		f := c.next[0]
		c.next = c.next[1:]
		// A unit with an image that fails it is not left.
		way := context.WithoutCancel(ctx)
		if f.kind == again {
			way = ctx
		}
		if s, err := c.Units.State(way, f.unit); err == nil {
			f.before = s
		}
		c.launch(way, f)
	}
	var units []string
	for _, unit := range inTurn(c.waiting, c.underWay(), c.states) {
		if len(c.flying)+len(units) < restartsAtOnce && c.mayDepart(ctx, unit) {
			units = append(units, unit)
		}
	}
	if len(units) == 0 {
		return
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(unit string) bool { return slices.Contains(units, unit) })
	if err := c.beginTrials(ctx, units); err != nil {
		c.failAll(units, err)
		return
	}
	r.reached("trial begun")
	for _, unit := range units {
		c.launch(ctx, flight{unit: unit, kind: forth, before: c.states[unit]})
	}
}

func (c *course) underWay() []string {
	units := slices.Collect(maps.Keys(c.flying))
	for _, f := range c.next {
		units = append(units, f.unit)
	}
	return units
}

// inTurn gives the waiting units that are ordered after no other that waits or is under way. Of units
// in a circle all may go once nothing else does.
func inTurn(waiting, underWay []string, states map[string]State) []string {
	free := slices.DeleteFunc(slices.Clone(waiting), func(unit string) bool {
		return slices.ContainsFunc(states[unit].After, func(a string) bool {
			return a != unit && (slices.Contains(waiting, a) || slices.Contains(underWay, a))
		})
	})
	if len(free) == 0 && len(underWay) == 0 {
		return slices.Clone(waiting)
	}
	return free
}

// mayDepart reports whether a unit is to be restarted now, and drops those that are not to be
// restarted at all. One that somebody stops or restarts is waited for.
func (c *course) mayDepart(ctx context.Context, unit string) bool {
	s, err := c.Units.State(ctx, unit)
	if err != nil {
		c.drop(unit)
		c.failAll([]string{unit}, err)
		return false
	}
	c.states[unit] = s
	note := "not running; the next start takes it"
	switch {
	case s.Gone:
		note = "this user's service manager has no such unit; the next start takes it"
	case s.runs(), c.wanted[unit]:
		return true
	case s.Active == "deactivating" || s.Asked:
		since, waits := c.since[unit]
		if !waits {
			since = c.now()
			c.since[unit] = since
		}
		if c.now().Sub(since) < c.window(s) {
			return false
		}
	}
	c.drop(unit)
	for _, w := range c.works[unit] {
		c.giveUp(w)
		w.row.Note = note
	}
	if err := c.Ledger.Save(); err != nil {
		c.failAll([]string{unit}, err)
	}
	return false
}

func (c *course) drop(unit string) {
	c.waiting = slices.DeleteFunc(c.waiting, func(u string) bool { return u == unit })
}

func (c *course) failAll(units []string, err error) {
	for _, unit := range units {
		for _, w := range c.works[unit] {
			w.fail(err)
		}
	}
}

// launch begins a restart.
func (c *course) launch(ctx context.Context, f flight) {
	k := Known{}
	for _, t := range c.trialsOf(f.unit) {
		k.Made = t.Made
	}
	for _, h := range c.Ledger.Held {
		if h.Unit == f.unit {
			k.Held = append(k.Held, h)
		}
	}
	c.flying[f.unit] = f
	go func() {
		f.err = c.restartWithin(ctx, f.unit, k, f.before)
		for range mostAgain {
			if f.err == nil || !c.wasRefused(ctx, f.unit, f.before) {
				break
			}
			f.err = c.restartWithin(ctx, f.unit, k, f.before)
		}
		c.landed <- f
	}()
}

// wasRefused reports whether a restart failed only because the unit had been started too often.
func (r *Runner) wasRefused(ctx context.Context, unit string, before State) bool {
	s, err := r.Units.State(ctx, unit)
	return err == nil && s.refused(before.Restarts)
}

// restartWithin restarts a unit and gives it its window to get ready in, which begins when its old
// run has ended: how long that takes is the old image's affair.
func (r *Runner) restartWithin(ctx context.Context, unit string, k Known, before State) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Units.Restart(ctx, unit, k) }()
	var begun time.Time
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(look):
		}
		s, err := r.Units.State(ctx, unit)
		switch {
		case err != nil: // the next look tells
		case s.Active == "deactivating":
			begun = time.Time{}
		case s.Invocation == before.Invocation && s.Active != "activating":
		case begun.IsZero():
			begun = r.now()
		case r.now().Sub(begun) >= r.window(before):
			cancel()
			if err := <-done; err == nil {
				return nil // just now
			}
			return fmt.Errorf("it was not ready within %s", r.window(before))
		}
	}
}

// beginTrials notes what is about to be tried, so that a cut from here on is judged by the next run.
func (c *course) beginTrials(ctx context.Context, units []string) error {
	for _, unit := range units {
		s := c.states[unit]
		made, err := c.Units.Remember(ctx, unit)
		if err != nil {
			return err
		}
		needy, err := c.needy(ctx, unit, s)
		if err != nil {
			return err
		}
		for _, w := range c.works[unit] {
			t := c.trial(w, s)
			t.Made, t.NeededBy = made, needy
			c.Ledger.Begin(t)
			if w.row.Old != w.row.New {
				c.Ledger.Release(unit, w.Container)
			}
		}
	}
	return c.Ledger.Save()
}

// needy finds the units that are up and that the manager takes down with a unit, and raises with it.
func (c *course) needy(ctx context.Context, unit string, s State) (map[string]string, error) {
	found := make(map[string]string)
	for ask := s.NeededBy; len(ask) > 0; {
		name := ask[0]
		ask = ask[1:]
		if _, known := found[name]; known || name == unit {
			continue
		}
		n, err := c.Units.State(ctx, name)
		if err != nil {
			return nil, err
		}
		if n.Active != "active" || n.Health == "unhealthy" {
			continue
		}
		found[name] = n.Invocation
		ask = append(ask, n.NeededBy...)
	}
	return found, nil
}

// land notes how a restart has ended.
func (c *course) land(ctx context.Context, f flight) {
	r := c.Runner
	delete(c.flying, f.unit)
	switch f.kind {
	case forth:
		r.reached("restarted some")
		c.arrive(ctx, f)
	case back:
		r.reached("rolled back")
		c.isBack(ctx, f)
	case again: // how that has ended is seen now
	case raised:
		if f.err != nil {
			c.errs = append(c.errs, fmt.Errorf("%s went down with another unit and does not start again: %w", f.unit, f.err))
		}
	}
}

// arrive notes how a restart with a new image has ended.
func (c *course) arrive(ctx context.Context, f flight) {
	list, err := c.works[f.unit], f.err
	hindered := HinderedError{}
	switch {
	case err == nil:
		s, serr := c.Units.State(ctx, f.unit)
		for _, w := range list {
			w.row.Updated = Updated
			if t := c.Ledger.Trial(f.unit, w.Container); t != nil && serr == nil {
				// Our restart has begun to count anew.
				t.Restarts, t.Invocation, t.Until = 0, s.Invocation, c.now().Add(c.window(f.before))
			}
		}
	case errors.As(err, &hindered), ctx.Err() != nil, c.Units.Stopping(ctx):
		// It says nothing of the image. Judge looks what became of the unit, now or in the next run.
		for _, w := range list {
			w.fail(fmt.Errorf("with %s: %w", w.Image, err))
		}
	default:
		c.goBack(f.unit, fmt.Errorf("with %s: %w", list[0].Image, err))
		return
	}
	if err := c.Ledger.Save(); err != nil {
		list[0].errs = append(list[0].errs, err)
	}
}

// goBack has a unit run its old image again and remembers the digest that failed it; why says what
// is wrong with it. Without Rollback, or without an old image, a unit is left as it is: its own
// Restart= stands.
func (c *course) goBack(unit string, why error) {
	r, trials := c.Runner, c.trialsOf(unit)
	if slices.ContainsFunc(trials, func(t ledger.Trial) bool { return t.OldID == "" || t.OldID == t.NewID }) || !c.Rollback {
		for _, t := range trials {
			c.Ledger.End(t)
			c.note(eventOf(t, c.now(), Failed, why))
		}
		err := fmt.Errorf("%s fails with its new image, and is left so: %w", unit, why)
		c.settle(unit, trials, Failed, why.Error(), errors.Join(err, c.Ledger.Save()))
		return
	}
	for _, t := range trials {
		c.Ledger.Hold(ledger.Held{
			Unit: unit, Container: t.Container, Reference: t.Reference,
			Bad: t.Digest, BadID: t.NewID, ImageID: t.OldID, Since: c.now(),
		})
	}
	if err := c.Ledger.Save(); err != nil {
		for _, t := range trials {
			c.Ledger.End(t)
		}
		c.settle(unit, trials, Failed, why.Error(), err)
		return
	}
	r.reached("held")
	c.next = append(c.next, flight{unit: unit, kind: back, trials: trials, why: why})
}

// isBack notes how a unit does with its old image, and raises what went down with it.
func (c *course) isBack(ctx context.Context, f flight) {
	result, err := RolledBack, f.err
	if err != nil {
		result = Failed
		err = fmt.Errorf("%s does not start with its old image either: %w", f.unit, err)
	}
	for _, t := range f.trials {
		c.Ledger.End(t) // not before: a cut in between is mended by the next run
		c.note(eventOf(t, c.now(), result, f.why))
	}
	c.settle(f.unit, f.trials, result, f.why.Error(), errors.Join(err, c.Ledger.Save()))
	if err != nil {
		return
	}
	for _, unit := range slices.Sorted(maps.Keys(neededBy(f.trials))) {
		s, err := c.Units.State(context.WithoutCancel(ctx), unit)
		switch {
		case err != nil:
			c.errs = append(c.errs, fmt.Errorf("%s may be down with %s: %w", unit, f.unit, err))
		case s.Gone: // a transient one, such as the timer of a health check: the start has made another
		case s.Active != "inactive" && s.Active != "failed" || s.Asked:
		case slices.Contains(c.waiting, unit):
			c.wanted[unit] = true
		case !c.busy(unit):
			c.next = append(c.next, flight{unit: unit, kind: raised})
		}
	}
}

// neededBy joins what is known of units that need those on trial.
func neededBy(trials []ledger.Trial) map[string]string {
	all := make(map[string]string)
	for _, t := range trials {
		maps.Copy(all, t.NeededBy)
	}
	return all
}

func (c *course) settle(unit string, trials []ledger.Trial, outcome Outcome, why string, err error) {
	c.settled = append(c.settled, settled{unit, trials, outcome, why, err})
}
