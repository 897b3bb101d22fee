// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// CreatePod makes a pod without starting it. args are the words of the command that asked for it.
func (e *Engine) CreatePod(ctx context.Context, p spec.Pod, args []string) (pod.Record, error) {
	for _, w := range p.Warnings {
		e.Warn(w)
	}
	r, err := e.Pods.Create(ctx, p, e.startingUnit(), args)
	if errors.Is(err, pod.ErrNameInUse) {
		return r, hint.With(err, "podunit pod rm %s, or --replace", r.Name)
	}
	if err != nil {
		return r, err
	}
	return r, WriteIDFile(p.PodIDFile, r.ID)
}

// joinable is a pod whose infra runs; one that does not is started.
func (e *Engine) joinable(ctx context.Context, name string) (pod.Record, error) {
	p, err := e.Pods.Lookup(name)
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
		return e.StartPodService(ctx, p, Transient{})
	}
	_, err := e.Pods.Start(ctx, p, e.Own.Name)
	e.User.Leave()
	return err
}

// StartMembers starts containers that were made in the pod and are no unit's business.
func (e *Engine) StartMembers(ctx context.Context, p pod.Record) error {
	if e.InService() {
		return nil // the service orders its own
	}
	members, err := e.Pods.Members(p)
	errs := []error{err}
	for _, m := range members {
		s, err := e.Containers.Status(m.ID)
		if err == nil && s.PID == 0 && m.Unit == "" {
			err = e.startService(ctx, m, nil)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// StopPod stops through the pod's unit, which takes the units of its containers along,
// unless that unit is asking. d is the time between the stop signal and SIGKILL.
func (e *Engine) StopPod(ctx context.Context, p pod.Record, d time.Duration) error {
	s := e.Pods.Status(p)
	if s.Unit != "" && s.Unit != e.Own.Name && (s.InfraPID != 0 || e.comesBack(ctx, s.Unit, e.podRuns(p))) {
		if err := e.StopUnit(ctx, s.Unit); err == nil {
			return nil
		}
	}
	return e.Pods.Stop(ctx, p, d)
}

// podRuns looks whether the pod's infra process runs.
func (e *Engine) podRuns(p pod.Record) func() bool {
	return func() bool { return e.Pods.Status(p).InfraPID != 0 }
}

// RemovePod removes a pod, with force a running one and its containers. d is the time between the
// stop signal and SIGKILL.
func (e *Engine) RemovePod(ctx context.Context, p pod.Record, force bool, d time.Duration) error {
	units, err := e.ownServices(p)
	if err != nil {
		return err
	}
	s := e.Pods.Status(p)
	if force {
		if err := e.StopPod(ctx, p, d); err != nil {
			return err
		}
	} else if s.InfraPID == 0 && s.Unit != "" && s.Unit != e.Own.Name && e.comesBack(ctx, s.Unit, e.podRuns(p)) {
		return fmt.Errorf("pod %s is about to be started again by %s: stop it first, or use --force", p.Name, s.Unit)
	}
	if err := e.Pods.Remove(ctx, p, force, d); err != nil {
		return err
	}
	for _, name := range units {
		e.forgetUnit(ctx, name)
	}
	return nil
}

// ownServices are the transient services of a pod's containers: those that were killed have
// failed, and stay so until somebody forgets them.
func (e *Engine) ownServices(p pod.Record) ([]string, error) {
	members, err := e.Pods.Members(p)
	if err != nil || e.InService() {
		return nil, err
	}
	var names []string
	for _, m := range members {
		if s, err := e.Containers.Status(m.ID); err == nil && s.Unit == serviceName(m) {
			names = append(names, s.Unit)
		}
	}
	return names, nil
}
