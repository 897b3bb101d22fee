// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/unit"
)

// Transient says in which transient service a container or pod runs. The zero value means the one
// that it gets from a shell: NAME.service for a container, NAME-pod.service for a pod.
type Transient struct {
	// Name is that of the unit, with its suffix.
	Name string
	// Adjust, if set, changes the service before it starts: its slice, what it is bound to and comes
	// after, its restarts, its timeouts.
	Adjust func(*unit.Service)

	// retry leaves a failed start to the restart policy, since nobody waits for it.
	retry bool
}

// stopMargin is how much longer the manager waits for a stop than the runner does, whose wait must
// end first.
const stopMargin = 30 * time.Second

// serviceName is the transient service that a container gets when somebody starts it. One that was
// renamed while it ran is in that of its old name until then; one made with --rm, to its end.
func serviceName(r container.Record) string { return r.Name + ".service" }

// podServiceName is the transient service of a pod that was started by hand.
func podServiceName(p pod.Record) string { return p.Name + "-pod.service" }

// startService starts a transient service for a container that exists: systemd watches, restarts
// and logs it like one from a file.
func (e *Engine) startService(ctx context.Context, r container.Record, t Transient) error {
	name := cmp.Or(t.Name, serviceName(r))
	s := e.containerService(r, name)
	if r.PodID != "" {
		p, err := e.Pods.Lookup(r.PodID)
		if err != nil {
			return err
		}
		if before := e.Pods.Status(p); before.InfraPID == 0 {
			if err := e.StartPodService(ctx, p, Transient{retry: t.retry}); err != nil {
				if !t.retry {
					return err
				}
				if _, comes := e.podComes(ctx, p, podServiceName(p), before); !comes {
					return err
				}
			}
		}
		if name := e.Pods.Status(p).Unit; name != "" {
			s.BindsTo, s.After = []string{name}, []string{name}
		}
		if s.Slice, err = e.sliceOf(p); err != nil {
			return err
		}
	}
	if t.Adjust != nil {
		t.Adjust(&s)
	}
	return e.ofWhom(e.startTransient(ctx, name, s, t.retry))
}

// ofWhom explains that the name of a service is taken, where a container that was renamed while it
// ran has that service still.
func (e *Engine) ofWhom(err error) error {
	taken := unit.NameTakenError{}
	if !errors.As(err, &taken) {
		return err
	}
	all, lerr := e.Containers.List()
	if lerr != nil {
		return err
	}
	for _, r := range all {
		if s, serr := e.Containers.Status(r.ID); serr == nil && s.PID != 0 && s.Unit == taken.Unit && r.Unit == "" && serviceName(r) != s.Unit {
			err := fmt.Errorf("%s is the service of container %s, which was renamed while it ran", s.Unit, r.Name)
			switch {
			case r.Spec.Remove:
				return hint.With(err, "podunit stop %s: it goes with its service, which it keeps", r.Name)
			case r.PodID != "": // a restart leaves it there
				return hint.With(err, "podunit stop %s; the next start gives it %s", r.Name, serviceName(r))
			}
			return hint.With(err, "podunit restart %s, and it gets %s", r.Name, serviceName(r))
		}
	}
	return err
}

// containerService describes the service of that name, of a container that exists.
func (e *Engine) containerService(r container.Record, name string) unit.Service {
	s := unit.Service{
		Description: "Container " + r.Name,
		Start:       []string{e.Program, "start", r.ID},
		Environment: e.serviceEnvironment(name),
		Directory:   e.Directory,
		Identifier:  r.Name,
		Restart:     unit.RestartFor(r.Spec.Restart.Policy),
		MaxRestarts: r.Spec.Restart.Max,
		Collect:     r.Spec.Remove,
		StopTimeout: e.StopTimeoutOf(r) + stopMargin,
	}
	if r.Spec.Remove {
		s.Stop = []string{e.Program, "rm", "-v", "-f", "-i", r.ID}
		s.StopPost = s.Stop
	} else {
		s.Stop = []string{e.Program, "stop", "-i", r.ID}
		s.StopPost = []string{e.Program, "cleanup", r.ID}
	}
	if r.Spec.MaxRun > 0 {
		s.Settings = map[string]any{"RuntimeMaxUSec": uint64(r.Spec.MaxRun.Microseconds())}
	}
	if name := cmp.Or(e.Runtime, r.Runtime); name != "" {
		s.Start = slices.Insert(s.Start, 1, "--runtime="+name)
	}
	for _, m := range slices.Backward(e.Modules) {
		s.Start = slices.Insert(s.Start, 1, "--module="+m)
	}
	return s
}

// serviceEnvironment is the environment of a transient service.
func (e *Engine) serviceEnvironment(name string) []string {
	return append(unit.Environment(e.Environ), "PODMAN_SYSTEMD_UNIT="+name)
}

// StartPodService makes a service of a pod that exists.
func (e *Engine) StartPodService(ctx context.Context, p pod.Record, t Transient) error {
	p, err := e.Pods.EnsurePIDFile(ctx, p, filepath.Join(e.Containers.RunDir, "pods", p.ID+".pid"))
	if err != nil {
		return err
	}
	name := cmp.Or(t.Name, podServiceName(p))
	s := unit.Service{
		Description: "Pod " + p.Name,
		Type:        "forking",
		PIDFile:     p.Spec.MainPIDFile,
		Start:       []string{e.Program, "pod", "start", p.ID},
		Stop:        []string{e.Program, "pod", "stop", "--ignore", p.ID},
		Environment: e.serviceEnvironment(name),
		Directory:   e.Directory,
		Identifier:  p.Name,
		Restart:     unit.RestartFor(p.Spec.Restart.Policy),
		MaxRestarts: p.Spec.Restart.Max,
		StopTimeout: e.StopTimeout() + stopMargin,
	}
	if p.Spec.Limits.Any() {
		s.Slice = PodSlice(p.Name, e.User.Rootless())
		if err := e.withManager(ctx, func(m Manager) error { return m.StartSlice(ctx, s.Slice, limitedSlice(p)) }); err != nil {
			return err
		}
	}
	if t.Adjust != nil {
		t.Adjust(&s)
	}
	return e.startTransient(ctx, name, s, t.retry)
}
