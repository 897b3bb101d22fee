// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// Stop stops a container through the unit that watches it, unless that unit is asking. d is the
// time between the stop signal and SIGKILL. At the end of ctx Stop gives up waiting. A container
// that has its stop signal goes on ending by itself; but where the unit is asking, the manager's
// time for the stop is over, and the container is killed.
func (e *Engine) Stop(ctx context.Context, r container.Record, d time.Duration) error {
	s, err := e.Containers.Status(r.ID)
	if err != nil {
		return err
	}
	if s.Unit != "" && s.Unit == e.Own.Name {
		return e.Containers.Stop(ctx, r, d)
	}
	if err := e.noteStopped(r); err != nil {
		return err
	}
	if name := e.watcher(ctx, r, s); name != "" {
		if err := e.stopWatched(ctx, r, name, d); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return waitFor(ctx, func(ctx context.Context) error { return e.Containers.Stop(ctx, r, d) })
}

// noteStopped notes that somebody stops a container. A full disk does not keep it from being
// stopped, with a word where the note would have mattered.
func (e *Engine) noteStopped(r container.Record) error {
	err := e.Containers.NoteStopped(r)
	if !errors.Is(err, container.ErrNoRoom) {
		return err
	}
	if r.Spec.Restart.Policy == "unless-stopped" {
		e.Warn(fmt.Sprintf("container %s: %v; the next boot starts it again", r.Name, err))
	}
	return nil
}

// watcher names the unit to stop so that a container ends and stays down, or "" if that unit is the
// one that asks, or if the container neither runs nor is about to. A container without a process
// may have a unit that is starting it, whose runtime may hang. A unit that is somebody else's, by
// chance or because the container was renamed, does not count.
func (e *Engine) watcher(ctx context.Context, r container.Record, s container.Status) string {
	name := s.Unit
	if s.PID == 0 {
		name = cmp.Or(s.Unit, r.Unit, serviceName(r))
	}
	switch {
	case name == e.Own.Name:
		return ""
	case s.PID != 0:
		return name
	case s.Unit == "" && r.Unit == "":
		if p, err := e.Unit(ctx, name); err != nil || !p.Transient || !starts(p) || e.left(r, name, p) {
			return ""
		}
	case !e.startedAgain(ctx, r, name):
		return ""
	}
	return name
}

// waitFor waits until do has ended, or ctx has. In the second case do goes on, as long as this
// process does.
func waitFor(ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- do(context.WithoutCancel(ctx)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runs looks whether the container runs.
func (e *Engine) runs(r container.Record) func() bool {
	return func() bool {
		s, err := e.Containers.Status(r.ID)
		return err == nil && s.PID != 0
	}
}

// stopWatched stops the unit that watches a container.
func (e *Engine) stopWatched(ctx context.Context, r container.Record, unit string, d time.Duration) error {
	return e.within(ctx, r, d, func() error { return e.StopUnit(ctx, unit) })
}

// within does something that waits for the end of a container. The unit waits as long as the
// container was to have when it was made; if d is shorter, the container is killed after d.
func (e *Engine) within(ctx context.Context, r container.Record, d time.Duration, do func() error) error {
	s, err := e.Containers.Status(r.ID)
	if err != nil {
		return err
	}
	warn, pass := e.warnLate(r, s, min(d, e.StopTimeoutOf(r)))
	defer pass()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
	}
	warn() // as long as there is something to be seen
	// What the unit waits for, and nothing that it has started since.
	err = process.End(s.PID, s.StartTicks, unix.SIGKILL, lockWait)
	return errors.Join(<-done, err)
}

// warnLate warns if the process of a container lives on after d and gets SIGKILL: from this
// process, which calls warn before it does, or from the ExecStop= of the container's unit. The
// caller calls pass at the end; it returns when a warning that is due has been given.
func (e *Engine) warnLate(r container.Record, s container.Status, d time.Duration) (warn, pass func()) {
	if d <= 0 || s.PID == 0 {
		return func() {}, func() {}
	}
	warn = sync.OnceFunc(func() {
		if process.Alive(s.PID, s.StartTicks) {
			e.Warn(container.LateWarning(r, d))
		}
	})
	late := time.AfterFunc(d, warn)
	return warn, func() {
		if !late.Stop() {
			warn()
		}
	}
}

// Restart restarts a container through its unit; one that has none gets a transient service. d is
// the time between the stop signal and SIGKILL.
func (e *Engine) Restart(ctx context.Context, r container.Record, d time.Duration) error {
	s, err := e.Containers.Status(r.ID)
	if err != nil {
		return err
	}
	if err := e.dropRenewal(r.ID); err != nil { // it goes on with the image that it has
		return err
	}
	if name := cmp.Or(s.Unit, r.Unit); name != "" {
		restarts, err := e.restarts(ctx, r, s, name)
		if err != nil {
			return err
		}
		if restarts {
			err := e.within(ctx, r, d, func() error { return e.RestartUnit(ctx, name) })
			if !unit.IsGone(err) {
				return errors.Join(err, e.dropUnstarted(ctx, err, r))
			}
			// The manager may have forgotten an ended transient unit since restarts asked.
		} else if name := e.watcher(ctx, r, s); name != "" {
			if err := e.stopWatched(ctx, r, name, d); err != nil {
				return err
			}
		}
	}
	if err := waitFor(ctx, func(ctx context.Context) error { return e.Containers.Stop(ctx, r, d) }); err != nil {
		return err
	}
	return e.startService(ctx, r, Transient{})
}

// dropUnstarted removes those of some containers that were made by hand with --rm and that a restart
// has ended, if the manager does not start them again since their pod does not start: then it
// executes nothing more of their units.
func (e *Engine) dropUnstarted(ctx context.Context, failed error, all ...container.Record) error {
	if job := (unit.JobError{}); !errors.As(failed, &job) || ctx.Err() != nil {
		return nil
	}
	var errs []error
	for _, r := range all {
		s, err := e.Containers.Status(r.ID)
		if err == nil && r.Spec.Remove && r.Unit == "" && r.PodID != "" && s.Unit != "" && s.PID == 0 {
			err = e.Remove(ctx, r, Removal{Volumes: true})
		}
		if !InUse(err) && !errors.Is(err, container.ErrNotFound) { // it is started, or has ended as always
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// restarts reports whether a unit can start a container again. The manager forgets a transient
// service that has ended, and does not start one that has used up its restarts: in both cases the
// service is made anew. So it is for a container that was renamed, whose service gets its new name,
// unless it was made with --rm, as it would be gone with the old one, or is in a pod: a stop of the
// last one that runs ends the pod.
func (e *Engine) restarts(ctx context.Context, r container.Record, s container.Status, name string) (bool, error) {
	p, err := e.Unit(ctx, name)
	switch {
	case err != nil || !p.Exists():
		return false, err
	case s.PID == 0 && e.left(r, name, p):
		return false, nil
	case !p.Transient || r.Unit != "":
		return true, nil
	case p.Argument == r.ID && name != serviceName(r) && r.PodID == "" && !r.Spec.Remove:
		return false, nil
	}
	return p.ActiveState != "failed" && p.ActiveState != "inactive", nil
}

// Removal says how a container is removed.
type Removal struct {
	Force   bool          // stop it first if it runs
	Volumes bool          // its anonymous volumes too
	Timeout time.Duration // between the stop signal and SIGKILL
}

// Remove stops the unit that watches a running container, if that is not the one that asks, removes
// what is left and ends the pod if it was the last of it. If other containers use its namespaces,
// the error is a DependentsError, except at the end of its own unit: systemd orders those stops. A
// container made by hand with --rm stays where its unit is restarted, and only ends.
func (e *Engine) Remove(ctx context.Context, r container.Record, how Removal) (err error) {
	if err := e.ableToRemove(&r.Spec); err != nil {
		return err
	}
	if !e.InService() {
		if err := e.needed(r); err != nil {
			return err
		}
	}
	s, err := e.Containers.Status(r.ID)
	if err != nil {
		return err
	}
	if e.InService() && r.Unit == "" && s.Unit == e.Own.Name && e.isRestarted(ctx) {
		if s.PID != 0 {
			return e.Containers.Stop(ctx, r, how.Timeout)
		}
		return e.Cleanup(ctx, r.ID)
	}
	if own := e.Own.Name; !e.InService() || own != serviceName(r) && own != s.Unit { // whose end may be a part of the renewal
		defer func() {
			if err == nil {
				err = e.dropRenewal(r.ID)
			}
		}()
	}
	if s.Unit == e.Own.Name {
		e.tellPodOfEnd(ctx, r) // we are what cleans up after it
	}
	if !e.InService() && e.unitGoesWith(ctx, r, s) {
		defer func() {
			if err == nil {
				e.forgetUnit(ctx, s.Unit)
			}
		}()
	}
	watcher := e.watcher(ctx, r, s)
	if watcher != "" && s.PID == 0 && !how.Force {
		return ComesBackError{"container " + r.Name, watcher}
	}
	if watcher != "" && how.Force {
		err := e.stopWatched(ctx, r, watcher, how.Timeout)
		if ctx.Err() != nil {
			return err
		}
		// A unit whose ExecStop removes the container has done all there is to do.
		if err == nil {
			if _, err := e.Containers.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
				return e.dropAnonymous(ctx, r, how)
			}
		}
	}
	gone := false
	err = e.WithLock(ctx, r.Name, func(lock *container.Lock) error {
		now, err := e.Containers.Lookup(r.ID)
		if errors.Is(err, container.ErrNotFound) {
			gone = true // while we waited
			return errors.Join(e.dropAnonymous(ctx, r, how), lock.Drop())
		}
		if err != nil {
			return err
		}
		if err := e.Containers.Remove(ctx, now, how.Force, how.Volumes, how.Timeout); err != nil {
			return err
		}
		return lock.Drop()
	})
	if err != nil || gone {
		return err
	}
	e.dropImage(ctx, r)
	return e.settlePod(ctx, r)
}

// ComesBackError says that a unit is about to start again what was to be removed.
type ComesBackError struct {
	What string // "container web"
	Unit string
}

func (e ComesBackError) Error() string {
	return fmt.Sprintf("%s is about to be started again by %s: stop it first, or use --force", e.What, e.Unit)
}

// InUse reports whether a removal without force was refused because the container or pod runs or is
// about to. A prune leaves such a one, though it did not run when the prune looked.
func InUse(err error) bool {
	return errors.Is(err, container.ErrRunning) || errors.As(err, new(ComesBackError)) || errors.As(err, new(pod.RunningError))
}

// dropAnonymous removes the anonymous volumes of a container that somebody else has removed,
// perhaps without its volumes: nobody but us knows of them any more.
func (e *Engine) dropAnonymous(ctx context.Context, r container.Record, how Removal) error {
	var errs []error
	if how.Volumes || r.Spec.Remove {
		for _, v := range r.AnonymousVolumes {
			errs = append(errs, e.Containers.Volumes.Remove(ctx, v, nil))
		}
	}
	return errors.Join(errs...)
}

// settlePod ends the pod of a container that has ended, if that was the last running container of
// the pod.
func (e *Engine) settlePod(ctx context.Context, r container.Record) error {
	if r.PodID == "" {
		return nil
	}
	return e.Pods.Settle(ctx, r.PodID, func() bool { return e.startsAgain(ctx) || e.isRestarted(ctx) })
}

// isRestarted reports whether this process cleans up in a unit that somebody restarts. Neither is a
// container to be removed then, which the unit is about to start, nor its pod to be ended: the unit
// is bound to that, and the manager would drop the start that is to follow.
func (e *Engine) isRestarted(ctx context.Context) bool {
	if _, stopping := e.Lookup("SERVICE_RESULT"); !stopping || !e.Own.Service() {
		return false
	}
	var job string
	err := e.ofOwn(ctx, func(m Manager) (err error) {
		job, err = m.Job(ctx, e.Own.Name)
		return err
	})
	return err == nil && job == "restart"
}

// settleNotBegun is settlePod for a container that was killed after its unit had started and before
// it executed its command. Its start has removed the container, so the unit's ExecStopPost= does
// not know of its pod.
func (e *Engine) settleNotBegun(ctx context.Context, r container.Record) error {
	if r.PodID == "" || !e.InService() {
		return nil
	}
	if p, err := e.ownProperties(ctx); err != nil || willRestart(p.Restart, "signal", "killed") {
		return err
	}
	return e.Pods.Settle(ctx, r.PodID, nil)
}

// startsAgain reports whether this process cleans up in a unit that systemd is about to start
// again: then the pod goes on although its last container is gone. During ExecStopPost= the unit
// has a job only if somebody asked for the stop. Source: systemd.exec(5), $SERVICE_RESULT;
// systemd.service(5), Restart=.
func (e *Engine) startsAgain(ctx context.Context) bool {
	result, stopping := e.Lookup("SERVICE_RESULT")
	if !stopping || !e.Own.Service() {
		return false
	}
	p, err := e.ownProperties(ctx)
	if err != nil || !p.Exists() || p.HasJob {
		return false
	}
	code, _ := e.Lookup("EXIT_CODE")
	return willRestart(p.Restart, result, code)
}

// willRestart is the table of systemd.service(5), Restart=.
func willRestart(policy, result, exitCode string) bool {
	signaled := exitCode == "killed" || exitCode == "dumped"
	switch policy {
	case "always":
		return true
	case "on-success":
		return result == "success"
	case "on-failure":
		return result != "success"
	case "on-abnormal":
		return result != "success" && (signaled || exitCode == "")
	case "on-watchdog":
		return result == "watchdog"
	case "on-abort":
		return result != "success" && signaled
	}
	return false
}
