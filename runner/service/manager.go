// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/store"
	"github.com/podunit/podunit/runner/unit"
)

// Manager is what this package needs of systemd. A unit.Manager has it.
type Manager interface {
	// StartService starts a transient service and waits until it is up; a failure of the unit is a
	// unit.JobError.
	StartService(ctx context.Context, name string, s unit.Service) error
	// StartScope moves this process into a transient scope of its own; an empty slice is the
	// manager's default.
	StartScope(ctx context.Context, name, description, slice string) (unit.Own, error)
	// Start starts a unit and waits until it is up; a failure of the unit is a unit.JobError.
	Start(ctx context.Context, name string) error
	// Stop stops a unit and waits until it is down; one that does not exist is down.
	Stop(ctx context.Context, name string) error
	// Restart stops and starts a unit and waits until it is up.
	Restart(ctx context.Context, name string) error
	// Ask queues a stop or restart of a unit and does not wait.
	Ask(ctx context.Context, verb, name string) error
	// StartTimer starts a transient timer and does not wait until it runs.
	StartTimer(ctx context.Context, name string, t unit.Timer) error
	// StartSlice starts a transient slice, or gives one that is up its settings.
	StartSlice(ctx context.Context, name string, s unit.Slice) error
	// Limits are the limits of a service, as settings of a slice; what nobody has set is
	// math.MaxUint64, no limit.
	Limits(ctx context.Context, service string) (map[string]any, error)
	// Properties asks for a unit; one that does not exist has LoadState not-found.
	Properties(ctx context.Context, name string) (unit.Properties, error)
	// Ended asks which main process of a service has ended last, and how: 128+N is a death by
	// signal N. It is 0 while one runs, and if there was none.
	Ended(ctx context.Context, name string) (pid, code int, err error)
	// Job is what is asked of a unit at the moment: start, stop, restart ..., empty for nothing.
	Job(ctx context.Context, name string) (string, error)
	// Free makes sure that a transient unit of the name can be started, else it is a
	// unit.NameTakenError.
	Free(ctx context.Context, name string) error
	// ResetFailed forgets that a unit failed.
	ResetFailed(ctx context.Context, name string) error
	// Close closes the connection.
	Close()
}

// Connect connects to the manager of a user's units.
func Connect(ctx context.Context, user rootless.Identity, lookup func(string) (string, bool)) (*unit.Manager, error) {
	c := unit.ConfigFor(user.UID, lookup)
	if c.RuntimeDir == user.RunDir && strings.HasPrefix(c.RuntimeDir, rootless.UnitsDir+"/") {
		c.RuntimeDir = "" // the user's manager is where a login is, if anywhere
	}
	return unit.Connect(ctx, c)
}

// withManager does something with the manager of this user's units.
func (e *Engine) withManager(ctx context.Context, do func(Manager) error) error {
	m, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// ofOwn asks the manager of the unit that this process is in. For a system unit with User= that is
// the system's manager, even if the user has a manager, too.
func (e *Engine) ofOwn(ctx context.Context, do func(Manager) error) error {
	if e.Own.User || e.User.UID == 0 {
		return e.withManager(ctx, do)
	}
	m, err := e.ConnectSystem(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return do(m)
}

// startTransient starts a transient service. An ended service of the same name makes way. If the
// start fails, the error says what podunit wrote in the service, and the service is over when
// startTransient returns, unless it is to try again.
func (e *Engine) startTransient(ctx context.Context, name string, s unit.Service, retry bool) error {
	if retry {
		return e.tryTransient(ctx, name, s, func(_ Manager, err error) error { return err })
	}
	return e.tryTransient(ctx, name, s, func(m Manager, err error) error {
		return errors.Join(err, giveUp(context.WithoutCancel(ctx), m, name))
	})
}

// tryTransient starts a transient service. If its start fails, failed decides what becomes of the
// service, which the manager may already be starting again.
func (e *Engine) tryTransient(ctx context.Context, name string, s unit.Service, failed func(m Manager, err error) error) error {
	return e.withManager(ctx, func(m Manager) error {
		if err := free(ctx, m, name); err != nil {
			return err
		}
		since := time.Now()
		err := m.StartService(ctx, name, s)
		if job := (unit.JobError{}); errors.As(err, &job) {
			err = failed(m, e.explain(ctx, job, since))
		}
		return err
	})
}

// giveUp ends a transient service whose start has failed: with a restart policy the manager would
// go on trying, and whoever asked has been told. When it returns, the name is free.
func giveUp(ctx context.Context, m Manager, name string) error {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	if err := m.Stop(ctx, name); err != nil {
		return err
	}
	return free(ctx, m, name)
}

// StopUnit asks systemd to stop a unit and waits until it has.
func (e *Engine) StopUnit(ctx context.Context, name string) error {
	return e.withManager(ctx, func(m Manager) error { return m.Stop(ctx, name) })
}

// RestartUnit asks systemd to restart a unit and waits until it is up, or ready if it tells of its
// readiness. If that fails, the error says what podunit wrote in the unit.
func (e *Engine) RestartUnit(ctx context.Context, name string) error {
	since := time.Now()
	err := e.withManager(ctx, func(m Manager) error { return m.Restart(ctx, name) })
	if failed := (unit.JobError{}); errors.As(err, &failed) && failed.Job != "canceled" { // by somebody, who knows why
		return e.explain(ctx, failed, since)
	}
	return err
}

// Unit returns what the manager knows of a unit.
func (e *Engine) Unit(ctx context.Context, name string) (p unit.Properties, err error) {
	err = e.withManager(ctx, func(m Manager) error {
		p, err = m.Properties(ctx, name)
		return err
	})
	return p, err
}

// Restarts is how often the manager restarted a unit by itself since somebody started it. It is 0
// if the user's manager cannot be reached or does not have the unit.
func (e *Engine) Restarts(ctx context.Context, name string) int {
	if name == "" {
		return 0
	}
	p, err := e.Unit(ctx, name)
	if err != nil {
		return 0
	}
	return p.Restarts
}

// explain says why a job has failed, in the words that podunit left in the journal, if there are
// any.
func (e *Engine) explain(ctx context.Context, failed unit.JobError, since time.Time) error {
	// Podunit writes its reason only where it exits; killed, it writes none. A unit that is gone
	// does not tell how it ended.
	wait := time.Second
	if failed.Job == "failed" && (failed.Result == "exit-code" || failed.Result == "") {
		wait = 5 * time.Second // journald may be behind
	}
	message, way := e.Complaint(context.WithoutCancel(ctx), failed.Unit, since, wait)
	if message == "" {
		return failed
	}
	said := quoted{error: fmt.Errorf("%s: %s", failed.Unit, message), job: failed}
	// The journal gives plain text: the error it was made of is lost.
	for _, cause := range []error{runc.ErrNotFound, runc.ErrNotExecutable, runc.ErrNoDirectory, bundle.ErrNoCommand} {
		if strings.HasPrefix(message, cause.Error()) {
			said.cause = cause
		}
	}
	for _, cause := range []error{network.ErrPortInUse, bundle.ErrNoWorkDir, bundle.ErrNoUser, bundle.ErrNoGroup} {
		if strings.Contains(message, cause.Error()) {
			said.cause = cause
		}
	}
	if way != "" {
		return hint.With(said, "%s", way)
	}
	return said
}

// quoted is an error that another process has written, with the class that it had there, if that is
// known, and the job that failed for it.
type quoted struct {
	error
	cause error
	job   unit.JobError
}

func (q quoted) Unwrap() error { return q.cause }

// As gives the job to those who ask for it. It is not unwrapped, as its hint would be shown, which
// says where to look for what is here.
func (q quoted) As(target any) bool {
	job, ok := target.(*unit.JobError)
	if ok {
		*job = q.job
	}
	return ok
}

// ownScope moves this process into a scope of its own, whose cgroup is ours to divide. A
// shell's cgroup belongs to the system. An empty slice is the manager's default.
func (e *Engine) ownScope(ctx context.Context, r *container.Record, slice string) (own unit.Own, err error) {
	err = e.withManager(ctx, func(m Manager) error {
		own, err = m.StartScope(ctx, fmt.Sprintf("podunit-%s-%d.scope", r.ID[:12], os.Getpid()), "podunit "+r.Name, slice)
		return err
	})
	return own, err
}

// forgetUnit takes a transient service that failed off the manager's list, once its
// container is gone.
func (e *Engine) forgetUnit(ctx context.Context, name string) {
	// An unreachable manager lists nothing, and a unit that runs by now is somebody else's.
	_ = e.withManager(ctx, func(m Manager) error { return free(ctx, m, name) })
}

// free makes sure that a transient unit of the name can be started.
func free(ctx context.Context, m Manager, name string) error {
	err := m.Free(ctx, name)
	if taken := (unit.NameTakenError{}); !errors.As(err, &taken) {
		return err
	}
	// The name may be held by a unit that has ended and whose ExecStopPost= still runs.
	if _, err := settled(ctx, m, name); err != nil {
		return err
	}
	return m.Free(ctx, name)
}

// settled returns the properties of a unit when it does not end any more, or does so for as
// long as lockWait.
func settled(ctx context.Context, m Manager, name string) (unit.Properties, error) {
	return await(ctx, m, name, lockWait, func(p unit.Properties) bool { return !ending(p) })
}

// await asks for a unit until it is as wanted, or d has passed.
func await(ctx context.Context, m Manager, name string, d time.Duration, wanted func(unit.Properties) bool) (unit.Properties, error) {
	for deadline := time.Now().Add(d); ; {
		p, err := m.Properties(ctx, name)
		if err != nil || wanted(p) || time.Now().After(deadline) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ending reports whether a unit is between the end of its process and its own end or next start:
// the manager has not noticed yet, or executes what follows the end.
func ending(p unit.Properties) bool {
	switch p.ActiveState {
	case "active":
		return p.MainPID != 0 && !process.Alive(p.MainPID, 0)
	case "deactivating":
		return true
	}
	return false
}

// starts reports whether a unit is about to start something, or may be: it takes long to end.
func starts(p unit.Properties) bool {
	switch p.ActiveState {
	case "activating":
		return true
	case "inactive", "failed":
		return p.HasJob // to start, or to restart
	}
	return ending(p)
}

// startedAgain is comesBack for a container, whose unit may be another one's by now.
func (e *Engine) startedAgain(ctx context.Context, r container.Record, name string) bool {
	p, err := e.settledUnit(ctx, name)
	return err == nil && (starts(p) || e.runs(r)()) && !e.left(r, name, p)
}

// left reports whether the unit that a container was in, and that is as p says, is another
// container's by now: this one was renamed, and has ended since.
func (e *Engine) left(r container.Record, name string, p unit.Properties) bool {
	switch {
	case r.Unit != "" || !p.Exists(): // a container that a unit has made keeps its name
		return false
	case p.Transient && store.IsID(p.Argument): // it starts a container by its ID
		return p.Argument != r.ID
	case p.SourcePath != "": // a unit from a file that makes its own container
		return true
	}
	all, err := e.Containers.List()
	return err == nil && slices.ContainsFunc(all, func(other container.Record) bool { return other.Unit == name })
}

// unitGoesWith reports whether the unit that a container was in is to be forgotten when the container
// is removed: the transient unit of its name, whoever made it, and that of the name that it had
// before. The manager keeps the unit of a unit file.
func (e *Engine) unitGoesWith(ctx context.Context, r container.Record, s container.Status) bool {
	own := s.Unit == serviceName(r)
	switch {
	case r.Unit == "" && own:
		return true
	case s.Unit == "" || r.Unit != "" && !own:
		return false
	}
	p, err := e.Unit(ctx, s.Unit)
	return err == nil && (r.Unit == "" || p.Transient) && !e.left(r, s.Unit, p)
}

// LastIn finds the one of some containers that a transient service is of: all were made by hand, and
// have ended in it. If it is gone it is that of the container with its name, else of one that was
// renamed. Another container may have the service by now, or a unit file: then it is none.
func (e *Engine) LastIn(ctx context.Context, name string, ended []container.Record) ([]container.Record, error) {
	if len(ended) == 0 {
		return nil, nil
	}
	p, err := e.Unit(ctx, name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(ended, func(r container.Record) bool {
		return !p.Exists() && serviceName(r) == name || p.Transient && p.Argument == r.ID
	})
	if i < 0 && !p.Exists() {
		i = 0
	}
	if i < 0 {
		return nil, nil
	}
	return ended[i : i+1], nil
}

// comesBack reports whether the unit of a container or pod that does not run is about to start it,
// or has started it by now, as runs tells. Between two restarts there is no process to stop, only
// the unit. Without a manager nothing comes back.
func (e *Engine) comesBack(ctx context.Context, name string, runs func() bool) bool {
	p, err := e.settledUnit(ctx, name)
	return err == nil && (starts(p) || runs())
}

// settledUnit is settled on a connection of its own.
func (e *Engine) settledUnit(ctx context.Context, name string) (p unit.Properties, err error) {
	err = e.withManager(ctx, func(m Manager) error {
		p, err = settled(ctx, m, name)
		return err
	})
	return p, err
}
