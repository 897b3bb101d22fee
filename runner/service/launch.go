// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// launch says how a container is started.
type launch struct {
	new, attach, stdin bool
	sigProxy           *bool           // as in Attachment
	lock               *container.Lock // of its name
	more               Addition
}

// able returns an error if the container needs what only the full program has: devices of vendors,
// and the removal of images.
func (e *Engine) able(c *spec.Container) error {
	if e.InjectDevices == nil && len(c.CDI()) > 0 {
		return &image.BeyondError{What: "--device " + c.CDI()[0]}
	}
	return e.ableToRemove(c)
}

// ableToRemove is able for what the end of a container needs.
func (e *Engine) ableToRemove(c *spec.Container) error {
	if c.RemoveImage && e.RemoveImage == nil {
		return &image.BeyondError{What: "--rmi"}
	}
	return nil
}

// dropImage removes the image of a container that has gone with --rmi, unless others use it.
func (e *Engine) dropImage(ctx context.Context, r container.Record) {
	if !r.Spec.RemoveImage || r.ImageName == "" {
		return
	}
	if err := e.RemoveImage(ctx, e.Containers.Store, e.User.RunDir, r.ImageName); err != nil {
		e.Warn(fmt.Sprintf("--rmi: %v", err))
	}
}

// launch starts a container in our own cgroup: as the main process of the service we
// are in, or attached; then it returns the container's exit status.
func (e *Engine) launch(ctx context.Context, r *container.Record, how launch) (code int, err error) {
	if err := e.able(&r.Spec); err != nil {
		return 0, err
	}
	l := container.Launch{Record: r, New: how.new, Secret: how.more.Secret}
	if !how.attach { // an attached one tells the manager nothing
		l.Slow = how.more.Begun != nil || r.Spec.SdNotify == "healthy"
	}
	if e.InService() {
		l.Unit = e.Own.Name
		l.JournalFields = e.Own.JournalFields(e.User.Rootless())
	}
	if !how.new {
		if err := e.Containers.Release(ctx, *r); err != nil {
			return 0, err
		}
	}
	var p pod.Record
	if r.PodID != "" {
		if p, err = e.Pods.Lookup(r.PodID); err != nil {
			return 0, err
		}
	}
	if err := e.cgroup(ctx, r, p, &l); err != nil {
		return 0, err
	}
	if r.PodID != "" {
		if l.Join, err = e.Pods.Join(p); err != nil {
			return 0, err
		}
	}
	if l.Peers, err = e.peers(append(namespacesOf(&r.Spec), networkNamespace(r.Spec.Networking)...)...); err != nil {
		return 0, err
	}
	if l.Network, err = e.network(ctx, r, l.Join, l.Peers); err != nil {
		return 0, err
	}
	if l.Sockets, err = e.takeSockets(r, l.Join); err != nil {
		return 0, err
	}
	manager := e.takeNotify()
	readiness := e.readiness(ctx, manager, &l)
	if how.attach {
		return e.attach(ctx, l, how)
	}
	l.Ready = func(s container.Status, begin func() error) error {
		if err := writePIDFiles(r, s.PID); err != nil {
			return err
		}
		if how.more.Begun != nil {
			return e.beginSlowly(ctx, manager, how, *r, s, begin)
		}
		checks, err := e.planChecks(r, l, s)
		if err != nil {
			return err
		}
		if r.Spec.SdNotify != "healthy" {
			// The timer comes before the manager hears that all is well: without it no check would
			// ever run.
			if err := checks.repeat(ctx, 0); err != nil {
				return err
			}
		}
		if err := tellManager(ctx, manager, readiness, s.PID); err != nil {
			return err
		}
		if err := begin(); err != nil || r.Spec.SdNotify != "healthy" {
			return err
		}
		return checks.awaitReady(ctx, manager)
	}
	_, err = e.Containers.Start(ctx, l)
	e.User.Leave()
	return 0, err
}

// readiness says who tells the manager that the container is ready: "container" itself, which gets
// a way to the manager in l; "conmon", which is this process; or nobody (""). In the transient
// service of a container that was started by hand only podunit itself has asked the manager to
// wait: with Podman such a container has no socket.
func (e *Engine) readiness(ctx context.Context, manager notify.Socket, l *container.Launch) string {
	r := l.Record
	if r.Spec.SdNotify != "container" || !manager.Present() {
		return r.Spec.SdNotify
	}
	start, stop := defaultTimeout, defaultTimeout
	if p, err := e.ownProperties(ctx); err == nil {
		if p.Transient && p.Argument == r.ID {
			return "conmon"
		}
		start, stop = p.StartTimeout, p.StopTimeout
	}
	l.NotifySocket, l.StartLimit, l.StopLimit = manager.Path(), start, stop
	return r.Spec.SdNotify
}

// defaultTimeout is the time a unit has to start and to stop, where the unit does not set it and
// the manager cannot be asked. Source: systemd-system.conf(5), DefaultTimeoutStartSec=.
const defaultTimeout = 90 * time.Second

// ownProperties are those of the service that this process is in, which may be one of the
// system with User=.
func (e *Engine) ownProperties(ctx context.Context) (p unit.Properties, err error) {
	if !e.Own.Service() {
		return p, errors.New("not in a service")
	}
	err = e.ofOwn(ctx, func(m Manager) error {
		p, err = m.Properties(ctx, e.Own.Name)
		return err
	})
	return p, err
}

// tellManager makes a container's first process the main process of the service, which is ready
// unless the container itself is to say so, or its check.
func tellManager(ctx context.Context, manager notify.Socket, mode string, pid int) error {
	if mode != "conmon" && mode != "container" && mode != "healthy" {
		return nil
	}
	say := []string{notify.MainPID(pid)}
	if mode == "conmon" {
		// Both are one message, so that there is no state in between. A service whose main process
		// ends before it is ready has failed, whatever its status.
		say = append(say, notify.Ready("")...)
	}
	// The manager must know the process before it can end.
	return errors.Join(manager.Send(say...), manager.Barrier(ctx))
}

// writePIDFiles writes the files that are to name the container's first process.
func writePIDFiles(r *container.Record, pid int) error {
	for _, path := range []string{r.Spec.PIDFile, r.Spec.MainPIDFile} {
		if path == "" {
			continue
		}
		if err := safe.Replace(path, fmt.Appendln(nil, pid), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// attach starts a container attached to our streams and returns its exit status.
func (e *Engine) attach(ctx context.Context, l container.Launch, how launch) (int, error) {
	r := l.Record
	l.Foreground = &runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr}
	// A container gets our input with -i, and with -t where our input is a terminal.
	if how.stdin || r.Spec.TTY && e.Stdin != nil && term.IsTerminal(int(e.Stdin.Fd())) {
		l.Foreground.Stdin = e.Stdin
	}
	// Signals end the start; once there is a container, they are passed on to it.
	starting := ctx
	ctx, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	starts := context.AfterFunc(starting, giveUp)
	signalled := *r
	if how.sigProxy != nil {
		signalled.Spec.SigProxy = *how.sigProxy
	}
	pass, stop := e.proxySignals(signalled)
	defer stop()
	var limit *time.Timer
	killed := make(chan bool, 1) // by limit: it ran for too long
	l.Ready = func(s container.Status, _ func() error) error {
		if !starts() {
			return context.Cause(starting) // what came while the runtime was at work ends the start, too
		}
		defer pass()
		if r.Spec.MaxRun > 0 {
			limit = time.AfterFunc(r.Spec.MaxRun, func() {
				killed <- e.Containers.Kill(*r, unix.SIGKILL) == nil
			})
		}
		how.lock.Release() // or nobody could stop it
		checks, err := e.planChecks(r, l, s)
		if err != nil {
			return err
		}
		return errors.Join(writePIDFiles(r, s.PID), checks.repeat(ctx, 0))
	}
	code, err := e.Containers.Start(ctx, l)
	// The container may have ended before Kill returns.
	if limit != nil && !limit.Stop() && <-killed && err == nil {
		code = exitLate
	}
	e.User.Leave()
	how.lock.Release()
	return code, errors.Join(err, e.afterForeground(*r))
}

// exitLate is the exit status of a container in the foreground that ran for too long. Source:
// podman-run(1), --timeout.
const exitLate = 255

// afterForeground tidies up what a service would tidy up in ExecStopPost=.
func (e *Engine) afterForeground(r container.Record) error {
	ctx, cancel := context.WithTimeout(context.Background(), lockWait)
	defer cancel()
	err := e.WithLock(ctx, r.Name, func(lock *container.Lock) error {
		if _, err := e.Containers.Lookup(r.ID); errors.Is(err, container.ErrNotFound) {
			return lock.Drop()
		}
		if r.Spec.Remove {
			err := errors.Join(e.Containers.Remove(ctx, r, true, true, 0), lock.Drop())
			if err == nil {
				e.dropImage(ctx, r)
			}
			return err
		}
		return e.Containers.Release(ctx, r)
	})
	if err != nil || r.PodID == "" {
		return err
	}
	return e.Pods.Settle(ctx, r.PodID, nil)
}

// cgroup gives the container a cgroup below the unit's own, if the unit's is delegated to us. p is
// its pod, if it has one.
func (e *Engine) cgroup(ctx context.Context, r *container.Record, p pod.Record, l *container.Launch) error {
	if r.Spec.Cgroups == "disabled" {
		return hint.With(errors.New("--cgroups=disabled: runc always makes a cgroup"), "leave it out")
	}
	own := e.Own
	if !e.InService() {
		// A shell's cgroup is not ours; a scope of our own is, if there is a manager.
		slice, err := e.sliceOf(p)
		if err != nil {
			return err
		}
		scope, err := e.ownScope(ctx, r, slice)
		if err != nil {
			if r.Spec.Cgroups == "split" || ctx.Err() != nil {
				return err
			}
			e.Warn(fmt.Sprintf("no cgroup of its own: %v", err))
			return nil
		}
		own = scope
	}
	if err := e.withinLimits(p, own); err != nil {
		return err
	}
	payload, err := e.divide(own.Cgroup)
	if err != nil {
		return err
	}
	l.Cgroup, l.Controllers = payload.Cgroup, payload.Controllers
	return nil
}

// Attachment says how Start attaches a container to this process; the zero value means not at all.
type Attachment struct {
	Attach bool // to its output, until its end
	Stdin  bool // pass our input on
	// SigProxy says whether signals that we get are the container's; nil is as it was made.
	SigProxy *bool
}

// Start starts a container that exists: right here in a service or attached, else as a transient
// service. One that runs is left alone. code is the exit status of one that was attached.
func (e *Engine) Start(ctx context.Context, r container.Record, a Attachment) (code int, err error) {
	s, err := e.Containers.Status(r.ID)
	switch {
	case err != nil:
		return 0, err
	case s.PID != 0 && a.Attach:
		return 0, fmt.Errorf("container %s runs already; podunit logs -f %s follows its output", r.Name, r.Name)
	case s.PID != 0:
		return 0, nil
	case !a.Attach && !e.InService():
		if err := e.startService(ctx, r, Transient{}); err != nil {
			return 0, err
		}
		e.warnOfSession("container " + r.Name)
		e.noteIfAtBoot(ctx, r)
		return 0, nil
	}
	if err := e.runtimeOf(r); err != nil {
		return 0, err
	}
	err = e.WithLock(ctx, r.Name, func(lock *container.Lock) error {
		r, err := e.Containers.Lookup(r.ID)
		if err != nil {
			return err
		}
		if r.PodID != "" {
			if _, err := e.joinable(ctx, r.PodID); err != nil {
				return err
			}
		}
		code, err = e.launch(ctx, &r, launch{attach: a.Attach, stdin: a.Stdin, sigProxy: a.SigProxy, lock: lock})
		return err
	})
	e.tellPod(ctx, r.PodID, err)
	return code, err
}
