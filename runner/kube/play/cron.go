// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/unit"
)

// A CronJob is a timer, NAME-cron.timer, and its service. The service plays a run, which is a play of
// its own, with the job's pod under the run's names, and ends; when the pod has ended, the run is
// taken down. The journal keeps what it said.

// cronUnit is the name of a CronJob's timer and service, without suffix.
func cronUnit(one *kube.Pod) string { return one.Cron.Name + "-cron" }

// runs are the plays of a CronJob's runs that are remembered.
func (p *Player) runs(play string, one *kube.Pod) ([]*State, error) {
	all, err := p.store.all()
	if err != nil {
		return nil, err
	}
	var out []*State
	for _, st := range all {
		if st.Of == play && st.Cron == one.Cron.Name {
			out = append(out, st)
		}
	}
	return out, nil
}

// makeCron starts the timer of a CronJob; one that runs and has not changed goes on, and so do its
// runs.
func (w *work) makeCron(ctx context.Context, one *kube.Pod) error {
	name := cronUnit(one) + ".timer"
	u, err := w.Unit(ctx, name)
	if err != nil {
		return err
	}
	if w.old != nil {
		if was := w.old.pod(one.Name); was != nil && was.Cron != nil && u.ActiveState == "active" {
			if was.Digest == one.Digest {
				return nil
			}
			w.mu.Lock()
			w.ended = append(w.ended, was)
			w.mu.Unlock()
		}
	}
	if err := errors.Join(w.StopUnit(ctx, name), w.StopUnit(ctx, cronUnit(one)+".service")); err != nil {
		return err
	}
	w.ForgetUnit(ctx, cronUnit(one)+".service")
	w.mu.Lock()
	w.made, w.created = append(w.made, one), append(w.created, one)
	w.mu.Unlock()
	if w.Create || !one.Start || one.Cron.Suspended {
		return nil
	}
	return w.StartTimer(ctx, name, unit.Timer{
		Description: "CronJob " + one.Cron.Name,
		Calendar:    one.Cron.Calendar,
		Command:     w.command(one.Runtime, "kube", "cron", w.st.Name, one.Name),
		Environment: w.ServiceEnvironment(cronUnit(one) + ".service"),
		Limit:       -1, // init containers may take as long as they need
		Slice:       w.st.Slice,
		Loud:        true,
	})
}

// stopCron stops the timer of a CronJob, and takes its runs down.
func (p *Player) stopCron(ctx context.Context, st *State, one *kube.Pod, gone *Gone) error {
	name := cronUnit(one)
	if err := errors.Join(p.StopUnit(ctx, name+".timer"), p.StopUnit(ctx, name+".service")); err != nil {
		return err
	}
	p.ForgetUnit(ctx, name+".service")
	runs, err := p.runs(st.Name, one)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := p.instead(ctx, run, nil, func(run *State) error { return p.down(ctx, run, nil, false, gone) }); err != nil {
			return err
		}
	}
	p.store.sweepRuns(one.Cron.Name)
	// The time of its last run is forgotten, too.
	err = os.Remove(filepath.Join(p.stamps(), "stamp-"+name+".timer"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// stamps is the directory in which systemd notes when timers have elapsed. Source: systemd.timer(5),
// Persistent=.
func (p *Player) stamps() string {
	if !p.User.Rootless() {
		return "/var/lib/systemd/timers"
	}
	data, _ := p.Lookup("XDG_DATA_HOME")
	if data == "" {
		home, _ := p.Lookup("HOME")
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "systemd", "timers")
}

// maxLate is how far back a missed run is looked for.
const maxLate = 366 * 24 * time.Hour

// Cron is what the service of a CronJob's timer executes: it plays a run, unless that is too late, or
// another one is still there and none may be beside it. The limit of starts is for runs that are
// killed, so one that was not has the manager count anew: whoever starts runs by hand, as for a
// test, does not use up those of the timer.
func (p *Player) Cron(ctx context.Context, play, podName string) error {
	err := p.cron(ctx, play, podName)
	// A stop ends ctx, and is no kill.
	if ferr := p.ForgetRestarts(context.WithoutCancel(ctx), p.Own.Name); ferr != nil {
		p.Warn(fmt.Sprintf("the starts of %s are still counted: %v", p.Own.Name, ferr))
	}
	return err
}

func (p *Player) cron(ctx context.Context, play, podName string) error {
	st, err := p.store.load(play)
	if err != nil {
		return err
	}
	one := st.pod(podName)
	if one == nil || one.Cron == nil {
		return fmt.Errorf("%s has no CronJob of the pod %s", play, podName)
	}
	now := time.Now()
	due := now
	if _, timed := p.Lookup("TRIGGER_UNIT"); timed { // and not by hand
		most := maxLate
		if one.Cron.Late != nil {
			most = *one.Cron.Late + time.Minute // the timer itself may be a little late
		}
		at, ok := kube.LastDue(one.Cron.Schedule, one.Cron.Zone, now, most)
		if !ok && one.Cron.Late != nil {
			p.Warn(fmt.Sprintf("CronJob %s: a run was missed more than %s ago (startingDeadlineSeconds), and is not made up", one.Cron.Name, *one.Cron.Late))
			return nil
		}
		if ok {
			due = at
		}
	}
	p.store.sweepRuns(one.Cron.Name)
	if free, err := p.among(ctx, st, one); err != nil || !free {
		return err
	}
	name := one.Cron.RunName(due)
	pod, err := one.Run(name)
	if err != nil {
		return err
	}
	run := &State{
		Name: "cron " + name, Of: st.Name, Cron: one.Cron.Name, Created: now.UTC(), Slice: sliceBelow(st.Slice, name),
		Plan: &kube.Plan{Pods: []*kube.Pod{pod}}, Registry: st.Registry,
	}
	_, err = p.play(ctx, run, Options{Registry: st.Registry})
	return err
}

// sweepRuns removes half-written notes of runs of a CronJob, whose names never come again. Only its
// service makes them: that is the caller, or has been stopped.
func (s store) sweepRuns(cron string) {
	entries, _ := os.ReadDir(filepath.Dir(s.path("x"))) // none is no note
	for _, e := range entries {
		name, half := strings.CutSuffix(e.Name(), ".json.new")
		run, ok := strings.CutPrefix(name, "cron "+cron+"-")
		if half && ok && strings.Trim(run, "0123456789") == "" {
			_ = safe.Sweep(s.path(name)) // the next one tries again
		}
	}
}

// among reports whether a run may begin beside those that are there, and makes room for it as the
// concurrency policy says. It removes the remains of runs that have ended.
func (p *Player) among(ctx context.Context, st *State, one *kube.Pod) (bool, error) {
	runs, err := p.runs(st.Name, one)
	if err != nil {
		return false, err
	}
	for _, run := range runs {
		alive := false
		for _, q := range run.Plan.Pods {
			if r, err := p.Pods.LookupExact(q.Name); err == nil && p.Pods.Status(r).InfraPID != 0 {
				alive = true
			}
		}
		if p.store.isHalf(run.Name) {
			alive = false // only this service makes runs, and it was killed
		}
		switch {
		case alive && one.Cron.Concurrency == "Forbid":
			p.Warn(fmt.Sprintf("CronJob %s: %s still runs, and none may run beside it (concurrencyPolicy: Forbid)", one.Cron.Name, run.Name))
			return false, nil
		case alive && one.Cron.Concurrency == "Allow":
			continue
		}
		if err := p.instead(ctx, run, nil, func(run *State) error { return p.down(ctx, run, nil, false, &Gone{}) }); err != nil {
			return false, err
		}
	}
	return true, nil
}

// expire starts a timer that takes down an ended pod after a time. The pod's own unit executes this
// and will be removed, so a timer's service does it.
func (p *Player) expire(ctx context.Context, st *State, one *kube.Pod) error {
	after := time.Duration(0)
	switch {
	case st.Of != "":
	case one.Job != nil && one.Job.TTL != nil:
		after = *one.Job.TTL
	default:
		return nil
	}
	r, err := p.Pods.LookupExact(one.Name)
	if errors.Is(err, pod.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.StartTimer(ctx, fmt.Sprintf("podunit-expire-%s-%x.timer", r.ID[:12], time.Now().UnixNano()), unit.Timer{
		Description: "Removal of pod " + one.Name,
		First:       after,
		Command:     p.command(one.Runtime, "kube", "expire", st.Name, one.Name),
		Environment: p.ServiceEnvironment(one.Unit),
		Limit:       startTime,
	})
}

// Expire takes a pod of a play down that has ended. One that has been started again stays.
func (p *Player) Expire(ctx context.Context, play, podName string) error {
	if _, err := p.store.load(play); errors.Is(err, ErrNotFound) {
		return nil
	}
	done, err := p.ShareManager(ctx)
	if err != nil {
		return err
	}
	defer done()
	return p.locked(ctx, play, func(st *State) error {
		if _, over := p.store.endOf(play, podName); !over || st.pod(podName) == nil {
			return nil
		}
		return p.down(ctx, st, []string{podName}, false, &Gone{})
	})
}

// zones is the time zone database, where the manager looks zones up, too.
const zones = "/usr/share/zoneinfo"

// NoZone reports whether the machine's database lacks a zone: the manager would refuse its timer.
// Without a database only the manager can tell.
func NoZone(name string) bool { return noZone(zones, name) }

func noZone(database, name string) bool {
	if _, err := os.Stat(database); err != nil || name == "UTC" {
		return false
	}
	info, err := os.Stat(filepath.Join(database, name))
	return err != nil || !info.Mode().IsRegular()
}
