// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// Addition is what a start has besides the container's record.
type Addition struct {
	Secret container.Secret
	// Begun, if set, is called once the container runs and before its unit is ready. An error of it
	// ends the container and fails the start. The container's name is not locked meanwhile: other
	// commands may act on it.
	Begun func(ctx context.Context, r container.Record, s container.Status) error
}

// RunInService makes a container of the service that this process is in and starts it, as Run does.
func (e *Engine) RunInService(ctx context.Context, c *spec.Container, more Addition) (code int, err error) {
	if !e.InService() {
		return 0, errors.New("only a service executes this")
	}
	err = e.prepare(ctx, c, nil, e.startingUnit(), func(made *container.Record, lock *container.Lock) error {
		made.Hidden = slices.Sorted(maps.Keys(more.Secret.Env))
		code, err = e.launch(ctx, made, launch{new: true, attach: !c.Detach, stdin: c.Interactive, lock: lock, more: more})
		return err
	})
	return code, err
}

// beginSlowly lets a container begin, and tells the manager that it is ready only when Begun has
// found so.
func (e *Engine) beginSlowly(ctx context.Context, manager notify.Socket, how launch, r container.Record, s container.Status, begin func() error) error {
	// The manager must know the process before it can end.
	if err := errors.Join(manager.Send(notify.MainPID(s.PID)), manager.Barrier(ctx)); err != nil {
		return err
	}
	if err := begin(); err != nil {
		return err
	}
	how.lock.Release() // or nobody could stop it
	if err := how.more.Begun(ctx, r, s); err != nil {
		return errors.Join(err, process.End(s.PID, s.StartTicks, unix.SIGTERM, e.StopTimeoutOf(r)))
	}
	return errors.Join(manager.Send(notify.Ready("")...), manager.Barrier(ctx))
}

// FindImage finds the image of a container, pulled by its policy if need be. It draws nothing on a
// terminal, so that several may be pulled at once.
func (e *Engine) FindImage(ctx context.Context, c *spec.Container) (container.Image, error) {
	return e.findImage(ctx, c, nil)
}

// StartUnit starts a transient service and waits until it is up. A service of the same name that
// has ended is removed first. If the service fails, the error says what podunit said in it.
func (e *Engine) StartUnit(ctx context.Context, name string, s unit.Service) error {
	return e.startTransient(ctx, name, s, false)
}

// TryUnit is StartUnit for a service that the manager starts again when its start fails. It calls
// again with the reason of each such failure, and ends the service if again returns an error.
func (e *Engine) TryUnit(ctx context.Context, name string, s unit.Service, again func(error) error) error {
	return e.tryTransient(ctx, name, s, func(m Manager, err error) error {
		if err = again(err); err != nil {
			err = errors.Join(err, giveUp(context.WithoutCancel(ctx), m, name))
		}
		return err
	})
}

// ServiceEnvironment is the environment of a transient service.
func (e *Engine) ServiceEnvironment(name string) []string { return e.serviceEnvironment(name) }

// ForgetUnit takes a transient service that has ended off the manager's list.
func (e *Engine) ForgetUnit(ctx context.Context, name string) { e.forgetUnit(ctx, name) }

// StartsAgain reports whether the service that this process cleans up in is about to be started
// again by its own setting.
func (e *Engine) StartsAgain(ctx context.Context) bool { return e.startsAgain(ctx) }

// Asked returns the job that is queued for a unit at the moment: start, stop, restart; empty for
// none.
func (e *Engine) Asked(ctx context.Context, name string) (job string, err error) {
	err = e.withManager(ctx, func(m Manager) error {
		job, err = m.Job(ctx, name)
		return err
	})
	return job, err
}

// ShareManager keeps one connection to the manager for all that follows, until done is called.
func (e *Engine) ShareManager(ctx context.Context) (done func(), err error) {
	m, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	connect := e.Connect
	e.Connect = func(context.Context) (Manager, error) { return shared{m}, nil }
	return func() {
		e.Connect = connect
		m.Close()
	}, nil
}

// shared is a connection that its users cannot close: ShareManager's done does.
type shared struct{ Manager }

func (shared) Close() {}

// ExitCode is how the main process of the unit ended, as systemd tells ExecStopPost=; known is false
// where it does not.
func (e *Engine) ExitCode() (code int, known bool) { return e.exitCode() }

// ForgetRestarts has the manager count the starts of a unit anew, which its limit is for.
func (e *Engine) ForgetRestarts(ctx context.Context, name string) error {
	return e.withManager(ctx, func(m Manager) error { return m.ResetFailed(ctx, name) })
}

// AskUnit queues a stop or restart of a unit and does not wait.
func (e *Engine) AskUnit(ctx context.Context, verb, name string) error {
	return e.withManager(ctx, func(m Manager) error { return m.Ask(ctx, verb, name) })
}

// StartTimer starts a transient timer and does not wait until it runs.
func (e *Engine) StartTimer(ctx context.Context, name string, t unit.Timer) error {
	return e.withManager(ctx, func(m Manager) error { return m.StartTimer(ctx, name, t) })
}

// StartSlice starts a transient slice, or gives one that is up its settings.
func (e *Engine) StartSlice(ctx context.Context, name string, s unit.Slice) error {
	return e.withManager(ctx, func(m Manager) error { return m.StartSlice(ctx, name, s) })
}

// Limits are the limits of the unit that this process is in, as settings of a slice; a limit that
// nobody has set is math.MaxUint64.
func (e *Engine) Limits(ctx context.Context) (all map[string]any, err error) {
	err = e.withManager(ctx, func(m Manager) error {
		all, err = m.Limits(ctx, e.Own.Name)
		return err
	})
	return all, err
}
