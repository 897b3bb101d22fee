// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// CreatePod makes a pod without starting it. args are the words of the command that asked for it.
func (e *Engine) CreatePod(ctx context.Context, p spec.Pod, args []string) (pod.Record, error) {
	for _, w := range p.Warnings {
		e.Warn(w)
	}
	if err := e.freePodIDFile(&p); err != nil {
		return pod.Record{}, err
	}
	if err := e.nameContainers(peerWordsOfPod(&p)); err != nil {
		return pod.Record{}, err
	}
	var err error
	if p.Mounts, err = e.mountsFrom(p.VolumesFrom, p.Mounts); err != nil {
		return pod.Record{}, err
	}
	r, err := e.Pods.Create(ctx, p, e.startingUnit(), args)
	if errors.Is(err, pod.ErrNameInUse) {
		return r, hint.With(err, "podunit pod rm %s, or --replace", r.Name)
	}
	if err != nil {
		return r, err
	}
	written, err := e.podIDFile(p.PodIDFile).write(r.ID)
	if err != nil {
		return r, errors.Join(err, e.Pods.Remove(context.WithoutCancel(ctx), r, true, 0))
	}
	written()
	return r, nil
}

// joinable returns a pod whose infra process runs, which it starts if need be.
func (e *Engine) joinable(ctx context.Context, name string) (pod.Record, error) {
	find := e.Pods.Lookup
	if e.InService() {
		find = e.Pods.LookupExact
	}
	p, err := find(name)
	if errors.Is(err, pod.ErrNotFound) {
		return p, hint.With(err, "podunit pod create %s", name)
	}
	if err != nil || e.Pods.Status(p).InfraPID != 0 {
		return p, err
	}
	if e.InService() {
		return p, hint.With(fmt.Errorf("pod %s is not running", name), "order the service after the pod's, as Pod= in a .container file does")
	}
	return p, e.StartPod(ctx, p)
}

// StartPod starts the infra process: in the pod's own service right here, from a shell
// as a transient service.
func (e *Engine) StartPod(ctx context.Context, p pod.Record) error {
	if !e.InService() {
		if e.Pods.Status(p).InfraPID != 0 {
			return nil
		}
		err := e.StartPodService(ctx, p, Transient{})
		if err == nil {
			e.warnOfSession("pod " + p.Name)
		}
		return err
	}
	if err := e.limitPod(ctx, p); err != nil {
		return err
	}
	_, err := e.Pods.Start(ctx, p, e.Own.Name)
	e.User.Leave()
	return err
}

// StartMembers starts the containers of a pod that were made by hand: units start their own.
func (e *Engine) StartMembers(ctx context.Context, p pod.Record) error {
	if e.InService() {
		return nil // the service orders its own
	}
	members, err := e.Pods.Members(p)
	errs := []error{err}
	for _, m := range members {
		s, err := e.Containers.Status(m.ID)
		if err == nil && s.PID == 0 && m.Unit == "" {
			if err = e.startService(ctx, m, Transient{}); err == nil {
				e.noteIfAtBoot(ctx, m)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// StopPod stops through the pod's unit, which takes the units of its containers along, unless that
// unit is asking. d is the time between the stop signal and SIGKILL, for all containers. The end of
// ctx means what it means for Stop.
func (e *Engine) StopPod(ctx context.Context, p pod.Record, d time.Duration) error {
	name := e.podUnit(p)
	if name != "" && name == e.Own.Name {
		return e.Pods.Stop(ctx, p, d)
	}
	if err := e.noteStoppedPod(p); err != nil {
		return err
	}
	if name != "" && (e.podRuns(p)() || e.comesBack(ctx, name, e.podRuns(p))) {
		if err := e.withinPod(p, d, func() error { return e.StopUnit(ctx, name) }); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return waitFor(ctx, func(ctx context.Context) error { return e.Pods.Stop(ctx, p, d) })
}

// noteStoppedPod notes that somebody stops the containers of a pod.
func (e *Engine) noteStoppedPod(p pod.Record) error {
	members, err := e.Pods.Members(p)
	errs := []error{err}
	for _, m := range members {
		errs = append(errs, e.noteStopped(m))
	}
	return errors.Join(errs...)
}

// podUnit is the unit that the pod runs in, or may be about to run in: after a failed start the pod
// runs in none, and yet its transient service may try again.
func (e *Engine) podUnit(p pod.Record) string {
	if name := e.Pods.Status(p).Unit; name != "" {
		return name
	}
	if p.Unit == "" {
		return podServiceName(p)
	}
	return ""
}

// withinPod does something that waits for the end of a pod's containers, whose units know how long
// they were to have when they were made. If d is asked for and has passed, they are killed.
func (e *Engine) withinPod(p pod.Record, d time.Duration, do func() error) error {
	members, err := e.Pods.Members(p)
	if err != nil {
		return err
	}
	// Only the processes that run now: not those of containers that are started meanwhile.
	running := map[int]uint64{}
	var warn []func()
	for _, m := range members {
		s, err := e.Containers.Status(m.ID)
		if err != nil {
			return err
		}
		if s.PID != 0 {
			running[s.PID] = s.StartTicks
			own := e.StopTimeoutOf(m)
			if d != pod.OwnTimes {
				own = min(own, d)
			}
			late, pass := e.warnLate(m, s, own)
			defer pass()
			warn = append(warn, late)
		}
	}
	if d == pod.OwnTimes {
		return do()
	}
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
	}
	for _, late := range warn {
		late()
	}
	for pid, ticks := range running {
		err = errors.Join(err, process.End(pid, ticks, unix.SIGKILL, lockWait))
	}
	return errors.Join(<-done, err)
}

// podRuns looks whether the pod's infra process runs.
func (e *Engine) podRuns(p pod.Record) func() bool {
	return func() bool { return e.Pods.Status(p).InfraPID != 0 }
}

// RemovePod removes a pod, with force a running one and its containers. d is the time between the
// stop signal and SIGKILL.
func (e *Engine) RemovePod(ctx context.Context, p pod.Record, force bool, d time.Duration) error {
	units, err := e.ownServices(ctx, p)
	if err != nil {
		return err
	}
	if name := podServiceName(p); p.Unit == "" && name != e.Own.Name {
		units = append(units, name)
	}
	if !force {
		if err := e.idle(ctx, p); err != nil {
			return err
		}
	}
	if err := e.StopPod(ctx, p, d); err != nil {
		return err
	}
	if err := e.Pods.Remove(ctx, p, force, d); err != nil {
		return err
	}
	for _, name := range units {
		e.forgetUnit(ctx, name)
	}
	return e.endSlice(ctx, p)
}

// idle returns an error if a container of the pod runs, or if a unit is about to start one, or the
// pod itself. A pod of which only the infra process runs counts as idle.
func (e *Engine) idle(ctx context.Context, p pod.Record) error {
	running, err := e.Pods.Running(p)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return pod.RunningError{Name: p.Name, Containers: running}
	}
	if name := e.podUnit(p); !e.podRuns(p)() && name != "" && name != e.Own.Name && e.comesBack(ctx, name, e.podRuns(p)) {
		return ComesBackError{"pod " + p.Name, name}
	}
	members, err := e.Pods.Members(p)
	if err != nil {
		return err
	}
	for _, m := range members {
		s, err := e.Containers.Status(m.ID)
		if err != nil {
			return err
		}
		if s.Unit != "" && s.Unit != e.Own.Name && e.startedAgain(ctx, m, s.Unit) {
			return ComesBackError{"container " + m.Name, s.Unit}
		}
	}
	return nil
}

// ownServices are the transient services of a pod's containers: those that were killed have
// failed, and stay so until somebody forgets them.
func (e *Engine) ownServices(ctx context.Context, p pod.Record) ([]string, error) {
	members, err := e.Pods.Members(p)
	if err != nil || e.InService() {
		return nil, err
	}
	var names []string
	for _, m := range members {
		if s, err := e.Containers.Status(m.ID); err == nil && e.unitGoesWith(ctx, m, s) {
			names = append(names, s.Unit)
		}
	}
	return names, nil
}
