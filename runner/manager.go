// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/unit"
)

// manager connects to the manager of this user's units.
func (e *env) manager(ctx context.Context) (*unit.Manager, error) {
	c := unit.ConfigFor(e.user.UID, e.lookup)
	if c.RuntimeDir == e.user.RunDir && strings.HasPrefix(c.RuntimeDir, "/tmp/") {
		c.RuntimeDir = "" // the manager knows nothing of a makeshift one
	}
	return unit.Connect(ctx, c)
}

// serviceName is the transient service of a container that was started by hand.
func serviceName(r container.Record) string { return r.Name + ".service" }

// podServiceName is the transient service of a pod that was started by hand.
func podServiceName(p pod.Record) string { return p.Name + "-pod.service" }

// startService makes a service of a container that exists: systemd watches, restarts and
// logs it as one from a file.
func (e *env) startService(ctx context.Context, x *engines, r container.Record) error {
	program, err := ownProgram()
	if err != nil {
		return err
	}
	dir := e.host().Dir
	s := unit.Service{
		Description: "Container " + r.Name,
		Start:       []string{program, "start", r.ID},
		Environment: append(unit.Environment(os.Environ()), "PODMAN_SYSTEMD_UNIT="+serviceName(r)),
		Directory:   dir,
		Identifier:  r.Name,
		Restart:     unit.RestartFor(r.Spec.Restart.Policy),
		MaxRestarts: r.Spec.Restart.Max,
		Collect:     r.Spec.Remove,
		// The runner's own patience must end first.
		StopTimeout: r.StopTimeout(x.stopTimeout()) + 30*time.Second,
	}
	if r.Spec.Remove {
		s.Stop = []string{program, "rm", "-v", "-f", "-i", r.ID}
		s.StopPost = s.Stop
	} else {
		s.Stop = []string{program, "stop", "-i", r.ID}
		s.StopPost = []string{program, "cleanup", r.ID}
	}
	if name := cmp.Or(e.runtime, r.Runtime); name != "" {
		s.Start = slices.Insert(s.Start, 1, "--runtime="+name)
	}
	for _, m := range slices.Backward(e.modules) {
		s.Start = slices.Insert(s.Start, 1, "--module="+m)
	}
	if r.PodID != "" {
		p, err := x.pods.Lookup(r.PodID)
		if err != nil {
			return err
		}
		if err := e.startPod(ctx, x, p); err != nil {
			return err
		}
		if name := x.pods.Status(p).Unit; name != "" {
			s.BindsTo, s.After = []string{name}, []string{name}
		}
	}
	m, err := e.manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := free(ctx, m, serviceName(r)); err != nil {
		return err
	}
	return e.startAndTell(ctx, m, serviceName(r), s)
}

// startAndTell starts a service; if that fails, the error says what podunit said in it.
func (e *env) startAndTell(ctx context.Context, m *unit.Manager, name string, s unit.Service) error {
	since := time.Now()
	err := m.StartService(ctx, name, s)
	var failed unit.JobError
	if !errors.As(err, &failed) {
		return err
	}
	// Who asked is told here; a failed unit would only be in the way of the next try.
	defer func() { _ = m.ResetFailed(context.WithoutCancel(ctx), name) }()
	// Only by an exit does podunit say why; a unit that is gone does not tell how it ended.
	wait := time.Second
	if failed.Job == "failed" && (failed.Result == "exit-code" || failed.Result == "") {
		wait = 5 * time.Second // journald may be behind
	}
	message, hint := journal.Complaint(context.WithoutCancel(ctx), e.user.UID, name, since, wait)
	if message == "" {
		return err
	}
	if err = fmt.Errorf("%s: %s", name, message); hint != "" {
		err = withHint(err, "%s", hint)
	}
	// What comes out of the journal is words only.
	for _, fault := range []error{runc.ErrNotFound, runc.ErrNotExecutable, runc.ErrNoDirectory} {
		if strings.HasPrefix(message, fault.Error()) {
			return commandFault(said{err, fault})
		}
	}
	return err
}

// said is an error that was said by another process, and what it was there.
type said struct {
	error
	was error
}

func (s said) Unwrap() error { return s.was }

// startPodService makes a service of a pod that was created by hand.
func (e *env) startPodService(ctx context.Context, x *engines, p pod.Record) error {
	program, err := ownProgram()
	if err != nil {
		return err
	}
	if p, err = x.pods.EnsurePIDFile(p, filepath.Join(x.RunDir, "pods", p.ID+".pid")); err != nil {
		return err
	}
	m, err := e.manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := free(ctx, m, podServiceName(p)); err != nil {
		return err
	}
	return e.startAndTell(ctx, m, podServiceName(p), unit.Service{
		Description: "Pod " + p.Name,
		Type:        "forking",
		PIDFile:     p.Spec.MainPIDFile,
		Start:       []string{program, "pod", "start", p.ID},
		Stop:        []string{program, "pod", "stop", "--ignore", "--time=" + strconv.Itoa(int(x.stopTimeout().Seconds())), p.ID},
		Environment: append(unit.Environment(os.Environ()), "PODMAN_SYSTEMD_UNIT="+podServiceName(p)),
		Directory:   e.host().Dir,
		Identifier:  p.Name,
		Restart:     unit.RestartFor(p.Spec.Restart.Policy),
		MaxRestarts: p.Spec.Restart.Max,
		StopTimeout: x.stopTimeout() + 30*time.Second,
	})
}

// ownScope moves this process into a scope of its own, whose cgroup is ours to divide. A
// shell's cgroup belongs to the system.
func (e *env) ownScope(ctx context.Context, r *container.Record) (unit.Own, error) {
	m, err := e.manager(ctx)
	if err != nil {
		return unit.Own{}, err
	}
	defer m.Close()
	return m.StartScope(ctx, fmt.Sprintf("podunit-%s-%d.scope", r.ID[:12], os.Getpid()), "podunit "+r.Name)
}

// stopUnit asks systemd to stop a unit and waits until it has.
func (e *env) stopUnit(ctx context.Context, name string) error {
	m, err := e.manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Stop(ctx, name)
}

// restartUnit asks systemd to restart a unit and waits until it is up.
func (e *env) restartUnit(ctx context.Context, name string) error {
	m, err := e.manager(ctx)
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Restart(ctx, name)
}

// stopJob tells whether somebody asked systemd to do something with the unit we are in,
// and its Restart=.
func (e *env) stopJob(ctx context.Context, name string) (asked bool, restart string, err error) {
	m, err := e.manager(ctx)
	if err != nil {
		return false, "", err
	}
	defer m.Close()
	p, err := m.Properties(ctx, name)
	if err == nil && !p.Exists() {
		err = errors.New("no such unit")
	}
	return p.HasJob, p.Restart, err
}

// forgetUnit takes a transient service that failed off the manager's list, once its
// container is gone.
func (e *env) forgetUnit(ctx context.Context, name string) {
	m, err := e.manager(ctx)
	if err != nil {
		return // then it lists nothing
	}
	defer m.Close()
	_ = free(ctx, m, name) // one that runs is somebody else's by now
}

// free makes sure that a transient unit of the name can be started.
func free(ctx context.Context, m *unit.Manager, name string) error {
	err := m.Free(ctx, name)
	if taken := (unit.NameTakenError{}); !errors.As(err, &taken) {
		return err
	}
	// By one that has ended, perhaps, and has not done yet what comes after.
	if _, err := settled(ctx, m, name); err != nil {
		return err
	}
	return m.Free(ctx, name)
}

// settled returns the properties of a unit when it does not end any more, or does so for as
// long as lockWait.
func settled(ctx context.Context, m *unit.Manager, name string) (unit.Properties, error) {
	for deadline := time.Now().Add(lockWait); ; {
		p, err := m.Properties(ctx, name)
		if err != nil || !ending(p) || time.Now().After(deadline) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ending reports whether a unit has yet to come to its end, or to its next start: its process
// has ended, and the manager has not noticed, or does what comes after.
func ending(p unit.Properties) bool {
	switch p.ActiveState {
	case "active":
		return p.MainPID != 0 && !process.Alive(p.MainPID, 0)
	case "deactivating":
		return true
	}
	return false
}
