// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/unit"
)

const (
	// all is the name of the note that all containers of a pod are to start anew; underWay is that
	// of the note that a process has begun with it. Such a note has the pod's ID, and in Why the
	// timer's name without its suffix.
	all, underWay = "all", "again"
	// alls is the name of the note that counts these new starts in Bad; Good is the delay before
	// the last one, in seconds, and Why the invocation ID of the unit that has asked for it.
	alls = "alls"
	// againUnits is the prefix of the timers' names.
	againUnits = "podunit-again-"
)

// endsAll tells whether a rule of a container has all containers of its pod started anew after this
// end of it (RestartAllContainers).
func (p *Player) endsAll(c *kube.Container) bool {
	code, _ := p.Lookup("EXIT_CODE")
	status, _ := p.Lookup("EXIT_STATUS")
	return code == "exited" && slices.Contains(c.Restart.PodOn, status)
}

// again has all containers of a pod started anew, after a moment. The service of a container
// executes this and will be stopped itself, so a timer's service does it. over tells that the pod's
// job may fail no more, and nothing is started.
func (p *Player) again(ctx context.Context, st *State, one *kube.Pod, c *kube.Container) (over bool, err error) {
	r, err := p.Pods.LookupExact(one.Name)
	if errors.Is(err, pod.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	v := p.store.verdict(st.Name, one.Name, alls)
	seen, err := os.Stat(p.store.verdictPath(st.Name, []string{one.Name, alls}))
	if v.ID != r.ID || err == nil && time.Since(seen.ModTime()) > c.Restart.Calm+time.Duration(v.Good)*time.Second {
		v = verdict{ID: r.ID} // the pod is new, or was calm for long
	}
	run, _ := p.Lookup("INVOCATION_ID")
	counted := run != "" && v.Why == run // by one that was killed before it asked
	// Another container may have asked for the same one.
	if !counted && p.store.verdict(st.Name, one.Name, all).ID != r.ID {
		if one.Job != nil && c.Role != kube.Sidecar && v.Bad >= one.Job.BackoffLimit {
			return true, nil
		}
		wait := againAfter(c.Restart, v.Bad)
		v.Bad, v.Good, v.Why = v.Bad+1, int(wait/time.Second), run
		if err := p.store.setVerdict(st.Name, v, one.Name, alls); err != nil {
			return false, err
		}
	}
	return false, p.askAgain(ctx, st, r, one, time.Duration(v.Good)*time.Second)
}

// start starts containers of a pod that runs. Where a container ends before that is done, so that
// all are to start anew, it does that itself: the timer's service waits for the play's lock, which
// we have.
func (w *work) start(ctx context.Context, r pod.Record, p *kube.Pod, list []*kube.Container) error {
	// A replacement that starts only some has the others' state to give back: if it fails, the pod
	// is as it was.
	if len(list) < len(p.Containers) || !slices.ContainsFunc(list, func(c *kube.Container) bool { return len(c.Restart.PodOn) > 0 }) {
		return w.startOnce(ctx, r, p, list)
	}
	for try := 1; ; try++ {
		once, cancel := context.WithCancel(ctx)
		looked := make(chan struct{})
		go func() {
			defer close(looked)
			w.untilAsked(once, r, p, cancel)
		}()
		err := w.startOnce(once, r, p, list)
		cancel()
		<-looked
		if err == nil || !w.allAsked(r, p) || ctx.Err() != nil {
			return err
		}
		after, herr := w.ahead(ctx, r, p)
		if herr != nil || !w.Service && try == initTries {
			return errors.Join(err, herr)
		}
		w.Warn(fmt.Sprintf("pod %s: a container has ended so that all are started anew, in %s", p.Name, after))
		if err := errors.Join(w.stopAll(ctx, p), pause(ctx, after)); err != nil {
			return err
		}
	}
}

// allAsked reports whether a container has ended so that all of its pod are to start anew.
func (w *work) allAsked(r pod.Record, p *kube.Pod) bool {
	return w.store.verdict(w.st.Name, p.Name, all).ID == r.ID
}

// unask takes back that all containers of a pod that goes on are to start anew: what this play had
// started has asked for it, and has been stopped. Where one that goes on has ended, it may have
// asked as well, and the new start stays.
func (w *work) unask(ctx context.Context, x *exchange) error {
	for _, c := range x.was.Containers {
		touched := slices.Contains(x.stopped, c) || slices.ContainsFunc(x.started, func(s *kube.Container) bool { return s.Name == c.Name })
		if touched || c.Role == kube.Init || len(c.Restart.PodOn) == 0 {
			continue
		}
		if u, err := w.Unit(ctx, c.Unit); err != nil || u.ActiveState != "active" {
			return err
		}
	}
	_, err := w.halt(ctx, w.st, []string{x.now.Name})
	return err
}

// untilAsked calls stop when that is so: what starts meanwhile may wait for one that has ended.
func (w *work) untilAsked(ctx context.Context, r pod.Record, p *kube.Pod, stop func()) {
	for pause(ctx, beginLook) == nil {
		if w.allAsked(r, p) {
			stop()
			return
		}
	}
}

// ahead does in the place of the timer what it is to do, and gives the time before that.
func (w *work) ahead(ctx context.Context, r pod.Record, p *kube.Pod) (time.Duration, error) {
	timer := w.store.verdict(w.st.Name, p.Name, all).Why
	after := time.Duration(w.store.verdict(w.st.Name, p.Name, alls).Good) * time.Second
	return after, errors.Join(os.Remove(w.store.verdictPath(w.st.Name, []string{p.Name, all})),
		w.StopUnit(ctx, timer+".timer"), w.StopUnit(ctx, timer+".service"))
}

// againAfter is the time before a new start of all containers that so many came before, which
// doubles.
func againAfter(r kube.Restart, before int) time.Duration {
	wait := r.First
	for ; before > 0 && wait < r.Max; before-- {
		wait *= 2
	}
	return max(r.First, min(wait, r.Max))
}

// askAgain starts the timer whose service executes Again.
func (p *Player) askAgain(ctx context.Context, st *State, r pod.Record, one *kube.Pod, after time.Duration) error {
	name := fmt.Sprintf("%s%s-%x", againUnits, r.ID[:12], time.Now().UnixNano())
	if err := p.store.setVerdict(st.Name, verdict{ID: r.ID, Why: name}, one.Name, all); err != nil {
		return err
	}
	return p.StartTimer(ctx, name+".timer", unit.Timer{
		Description: "New start of all containers of pod " + one.Name,
		First:       after,
		Command:     p.command(one.Runtime, "kube", "again", st.Name, one.Name),
		Environment: p.ServiceEnvironment(one.Unit),
		Limit:       -1, // init containers may take as long as they need
		BoundTo:     one.Unit,
	})
}

// Again stops all containers of a pod and starts them in their order, init containers too. The pod
// goes on, with its network and its volumes. If they do not start, the pod has failed.
//
// It keeps a lock of the pod meanwhile, and that of the play only until it is noted: an init
// container may wait for another pod of the play. Who takes the play's lock to change the pod ends
// this start first (see halt).
func (p *Player) Again(ctx context.Context, play, podName string) error {
	done, err := p.ShareManager(ctx)
	if err != nil {
		return err
	}
	defer done()
	return p.Containers.WithLock(ctx, "kube "+play+" "+podName, func(lock *runner.Lock) error {
		return errors.Join(p.againLocked(ctx, play, podName), lock.Drop())
	})
}

func (p *Player) againLocked(ctx context.Context, play, podName string) error {
	var of *State
	var r pod.Record
	err := p.locked(ctx, play, func(st *State) error {
		name, ours := strings.CutSuffix(p.Own.Name, ".service")
		ours = ours && strings.HasPrefix(name, againUnits)
		// The manager executes the command of a unit that was killed again.
		more := ours && p.store.verdict(play, podName, underWay).Why == name
		if st.pod(podName) == nil || p.store.verdict(play, podName, all).ID == "" && !more {
			return nil // it is gone, or another one was faster
		}
		found, err := p.Pods.LookupExact(podName)
		if err != nil && !errors.Is(err, pod.ErrNotFound) {
			return err
		}
		runs := err == nil && p.Pods.Status(found).InfraPID != 0
		if runs && ours {
			if err := p.store.setVerdict(play, verdict{ID: found.ID, Why: name}, podName, underWay); err != nil {
				return err
			}
		}
		// From now on it is under way, or is not needed.
		err = p.store.forgetVerdict(play, podName, all)
		if !runs && more {
			err = errors.Join(err, p.store.forgetVerdict(play, podName, underWay))
		}
		if err != nil || !runs {
			return err
		}
		of, r = st, found
		return nil
	})
	if err != nil || of == nil {
		return err
	}
	err = p.startAll(ctx, of, r, of.pod(podName))
	return errors.Join(err, p.store.forgetVerdict(play, podName, underWay))
}

// startAll does what Again does, when that is noted.
func (p *Player) startAll(ctx context.Context, st *State, r pod.Record, one *kube.Pod) error {
	err := p.stopAll(ctx, one)
	if err == nil {
		w := &work{Player: p, st: st, plan: st.Plan, seen: map[string]string{}, Options: Options{Service: true}}
		err = w.start(ctx, r, one, one.Containers)
	}
	if err == nil || ctx.Err() != nil {
		return err // who ends this takes the pod in hand: see halt
	}
	return errors.Join(err, p.broken(ctx, st, one))
}

// halt ends the new starts (see Again) that are asked for or under way, of the named pods of a
// play, or of all its pods, so that nobody else starts what a play or a down is about to change:
// whoever needs the play's lock for that calls halt before. halt returns the IDs of those pods by
// name.
func (p *Player) halt(ctx context.Context, st *State, names []string) (map[string]string, error) {
	halted := map[string]string{}
	for _, one := range st.Plan.Pods {
		if len(names) > 0 && !slices.Contains(names, one.Name) {
			continue
		}
		for _, note := range []string{all, underWay} {
			v := p.store.verdict(st.Name, one.Name, note)
			if v.ID == "" {
				continue
			}
			if err := errors.Join(p.StopUnit(ctx, v.Why+".timer"), p.StopUnit(ctx, v.Why+".service")); err != nil {
				return halted, err
			}
			_ = os.Remove(p.store.verdictPath(st.Name, []string{one.Name, note})) // it may have done so itself
			halted[one.Name] = v.ID
		}
	}
	return halted, nil
}

// resume asks once more for the new starts that halt has ended, if the pods still exist.
func (p *Player) resume(ctx context.Context, st *State, halted map[string]string) error {
	var errs []error
	for name, id := range halted {
		one := st.pod(name)
		if r, err := p.Pods.LookupExact(name); err == nil && r.ID == id && one != nil && p.Pods.Status(r).InfraPID != 0 {
			errs = append(errs, p.askAgain(ctx, st, r, one, 0))
		}
	}
	return errors.Join(errs...)
}

// instead is locked for a caller that changes or removes the named pods of a play, or all: it ends
// their new starts first.
func (p *Player) instead(ctx context.Context, st *State, names []string, do func(st *State) error) error {
	if _, err := p.halt(ctx, st, names); err != nil {
		return err
	}
	return p.locked(ctx, st.Name, do)
}

// stopAll stops the containers of a pod, sidecars last and in reverse.
func (p *Player) stopAll(ctx context.Context, one *kube.Pod) error {
	var ordinary, rest []*kube.Container
	for _, c := range one.Containers {
		if c.Role == kube.Ordinary {
			ordinary = append(ordinary, c)
		} else {
			rest = append(rest, c)
		}
	}
	stop := func(ctx context.Context, c *kube.Container) error {
		err := p.StopUnit(ctx, c.Unit)
		p.ForgetUnit(ctx, c.Unit)
		return err
	}
	if err := together(ctx, ordinary, len(ordinary), stop); err != nil {
		return err
	}
	slices.Reverse(rest)
	return together(ctx, rest, 1, stop)
}

// broken ends a pod whose containers cannot be started anew: the pod has failed.
func (p *Player) broken(ctx context.Context, st *State, one *kube.Pod) error {
	errs := []error{p.stopAll(ctx, one)}
	for _, c := range one.Containers {
		if c.Role == kube.Ordinary {
			errs = append(errs, p.store.ended(st.Name, end{Code: 1, Broken: true}, one.Name, c.Name))
		}
	}
	return errors.Join(append(errs, p.settlePod(st, one))...)
}
