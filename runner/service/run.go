// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
)

// Create makes a container without starting it. args are the words of the command that asked for it.
func (e *Engine) Create(ctx context.Context, c *spec.Container, args []string) (container.Record, error) {
	if err := e.freeCIDFile(c); err != nil {
		return container.Record{}, err
	}
	return e.create(ctx, c, args, e.startingUnit())
}

// Run makes a container and starts it. In a service it becomes the service's main process. From a
// shell it becomes a service of its own if c.Detach is set; else it is attached to this process's
// streams until it ends, and code is its exit status.
func (e *Engine) Run(ctx context.Context, c *spec.Container, args []string) (r container.Record, code int, err error) {
	if err := e.freeCIDFile(c); err != nil {
		return r, 0, err
	}
	if c.Detach && !e.InService() {
		r, err = e.RunDetached(ctx, c, args)
		if err != nil {
			return r, 0, err
		}
		e.warnOfSession("container " + r.Name)
		e.noteIfAtBoot(ctx, r)
		return r, 0, nil
	}
	asked := *c
	if e.InService() && unit.RestartFor(c.Restart.Policy) != "no" {
		asked.Warnings = slices.Concat(c.Warnings, []string{
			fmt.Sprintf("--restart %s has no effect in a service: write Restart= in its [Service] section", c.Restart.Policy),
		})
	}
	err = e.prepare(ctx, &asked, args, e.startingUnit(), func(made *container.Record, lock *container.Lock) error {
		made.Foreground = !e.InService()
		r = *made
		written, err := e.cidFile(c.CIDFile).write(r.ID)
		if err != nil {
			return err
		}
		defer written()
		code, err = e.launch(ctx, made, launch{new: true, attach: !c.Detach, stdin: c.Interactive, lock: lock})
		return err
	})
	e.tellPod(ctx, c.Pod, err)
	if errors.Is(err, runc.ErrNotBegun) {
		err = errors.Join(err, e.settleNotBegun(context.WithoutCancel(ctx), r))
	}
	return r, code, err
}

// RunDetached makes a container and starts it as a transient service, also from within a service.
// It returns when the service is up. What it made is gone again if that fails.
func (e *Engine) RunDetached(ctx context.Context, c *spec.Container, args []string) (r container.Record, err error) {
	run := func() (err error) {
		if r, err = e.create(ctx, c, args, ""); err != nil {
			return err
		}
		// The service's own start takes the lock of the name.
		if err := e.startService(ctx, r, Transient{}); err != nil {
			return errors.Join(err, e.Remove(context.WithoutCancel(ctx), r, Removal{Force: true, Volumes: true}))
		}
		return nil
	}
	if c.Name == "" {
		err = run()
		return r, err
	}
	// Until the service runs, another start with that name would take this container for the
	// remains of an earlier one, and remove it.
	err = e.withLock(ctx, 0, "hand@"+c.Name, func(turn *container.Lock) error { return errors.Join(run(), turn.Drop()) })
	return r, err
}

// create makes a container of a unit; an empty one is that of a container made by hand.
func (e *Engine) create(ctx context.Context, c *spec.Container, args []string, unit string) (r container.Record, err error) {
	err = e.prepare(ctx, c, args, unit, func(made *container.Record, _ *container.Lock) error {
		if err := e.addContainer(ctx, made); err != nil {
			return err
		}
		r = *made
		written, err := e.cidFile(c.CIDFile).write(r.ID)
		if err != nil {
			return errors.Join(err, e.Containers.Remove(context.WithoutCancel(ctx), r, true, true, 0))
		}
		written()
		return nil
	})
	return r, err
}

// addContainer adds a container to the storage without starting it. No container whose namespace it
// joins needs to run before it does, but its files get the IDs of the user namespace.
func (e *Engine) addContainer(ctx context.Context, r *container.Record) error {
	peers, err := e.peers(userNamespace(&r.Spec))
	if err != nil {
		return err
	}
	return e.Containers.Create(ctx, r, peers)
}

// startingUnit is the service whose ExecStart= this process is, or "".
func (e *Engine) startingUnit() string {
	if e.InService() {
		return e.Own.Name
	}
	return ""
}

// prepare finds the image of a new container, takes the lock of its name and removes what stands in
// its way. Then it calls then, under the lock. unit is the service that the container belongs to,
// if any.
func (e *Engine) prepare(ctx context.Context, c *spec.Container, args []string, unit string, then func(*container.Record, *container.Lock) error) error {
	if err := e.able(c); err != nil {
		return err
	}
	if e.InService() && c.MaxRun > 0 {
		return hint.With(errors.New("--timeout: a unit says itself how long it may run"), "RuntimeMaxSec= in its [Service] section")
	}
	img, err := e.findImage(ctx, c, e.DrawPull)
	if more := (*image.BeyondError)(nil); !errors.As(err, &more) { // another program would say it again
		for _, w := range c.Warnings {
			e.Warn(w)
		}
	}
	if err != nil {
		return err
	}
	if err := bundle.CheckImage(&img.Config, c); err != nil {
		return fmt.Errorf("image %s: %w", img.Name, err)
	}
	step.Crash("resolved")
	checks, err := health.Resolve(c, img.Health)
	if err == nil && checks != nil {
		err = canLog(checks.LogDestination)
	}
	if err != nil {
		return err
	}
	if err := e.nameContainers(peerWordsOf(c)); err != nil {
		return err
	}
	r := e.Containers.Prepare(*c, img, args)
	r.Unit, r.Health = unit, checks
	if r.Runtime, err = e.newRuntime(); err != nil {
		return err
	}
	if !e.InService() {
		if err := e.sweepContainers(ctx); err != nil { // but no pod: it may be the one to join
			e.Warn(fmt.Sprintf("remains of other units: %v", err))
		}
	}
	// The unit that has the name takes the lock to tidy up, so it is stopped before.
	if err := e.stopHolder(ctx, r); err != nil {
		return err
	}
	return e.WithLock(ctx, r.Name, func(lock *container.Lock) error {
		step.Crash("locked")
		if err := e.clear(ctx, r); err != nil {
			return err
		}
		step.Crash("cleared")
		if err := e.Containers.SweepOrphans(ctx); err != nil {
			e.Warn(fmt.Sprintf("remains of earlier containers: %v", err))
		}
		if err := e.joinPod(ctx, &r); err != nil {
			return err
		}
		if err := e.takeMounts(&r); err != nil {
			return err
		}
		return then(&r, lock)
	})
}

// takeMounts gives a container the mounts of others that --volumes-from names.
func (e *Engine) takeMounts(r *container.Record) (err error) {
	r.Spec.Mounts, err = e.mountsFrom(r.Spec.VolumesFrom, r.Spec.Mounts)
	return err
}

// mountsFrom are the mounts of a container or pod with those that others have. Anonymous volumes of
// the others are removed with the others. The infra container of a pod has the pod's mounts.
func (e *Engine) mountsFrom(others []spec.VolumesFrom, mounts []spec.Mount) ([]spec.Mount, error) {
	for _, from := range others {
		var theirs []spec.Mount
		other, err := e.Containers.Lookup(from.Container)
		if errors.Is(err, container.ErrNotFound) {
			var p pod.Record
			if p, err = e.podOfInfra(from.Container, err); err == nil {
				theirs = p.Spec.Mounts
			}
		} else {
			theirs = other.Spec.Mounts
		}
		if err != nil {
			return nil, fmt.Errorf("--volumes-from %s: %w", from.Container, err)
		}
		mounts = append(mounts, from.Apply(theirs, mounts)...)
	}
	return mounts, nil
}

// podOfInfra finds a pod by the name that its infra container has, or would have with Podman. If
// there is none, it returns the error notFound.
func (e *Engine) podOfInfra(name string, notFound error) (pod.Record, error) {
	all, err := e.Pods.List()
	if err != nil {
		return pod.Record{}, err
	}
	i := slices.IndexFunc(all, func(p pod.Record) bool { return name == cmp.Or(p.Spec.InfraName, p.ID[:12]+"-infra") })
	if i < 0 {
		return pod.Record{}, notFound
	}
	return all[i], nil
}

// joinPod makes a container one of the pod that it asks for, which runs then.
func (e *Engine) joinPod(ctx context.Context, r *container.Record) error {
	if r.Spec.Pod == "" {
		return nil
	}
	if r.Spec.NewPod != nil {
		if _, err := e.CreatePod(ctx, *r.Spec.NewPod, r.Args); err != nil {
			return err
		}
		r.Spec.NewPod = nil
	}
	p, err := e.joinable(ctx, r.Spec.Pod)
	if err != nil {
		return err
	}
	if r.Spec.Hostname != "" && r.Spec.UTSNS.Mode == "" && slices.Contains(p.Spec.Share, "uts") {
		return hint.With(errors.New("cannot set hostname when joining the pod UTS namespace"), "give --hostname to pod create, or --uts private to this container")
	}
	r.PodID = p.ID
	// What the pod mounts goes into each of its containers.
	r.Spec.Mounts = append(r.Spec.Mounts, p.Spec.Mounts...)
	r.Spec.Inherit(&p.Spec)
	// In a service the unit's own restart policy counts, and a container made with --rm cannot be
	// started again.
	if r.Spec.Restart.Policy == "" && !e.InService() && !r.Spec.Remove {
		r.Spec.Restart = p.Spec.Restart
	}
	if !r.Spec.IDMapping.Said() {
		r.Spec.IDMapping, err = e.Pods.IDMapping(p)
	}
	return err
}

// clear makes the name free: it removes a container of that name with --replace, and what an
// earlier start of the same unit has left. If somebody else has the name, that is an error.
func (e *Engine) clear(ctx context.Context, r container.Record) error {
	// The look-up is exact, since a name may also be the beginning of another container's ID.
	old, err := e.Containers.LookupExact(r.Name)
	if errors.Is(err, container.ErrNotFound) {
		if c, serr := e.Containers.Store.Container(r.Name); serr == nil && slices.Contains(c.Names, r.Name) {
			return hint.With(fmt.Errorf("the name %s is taken by container %s of another tool", r.Name, c.ID[:12]), "podman rm %s, or choose another name", r.Name)
		}
		if p, perr := e.Pods.Lookup(r.Name); perr == nil && p.Name == r.Name {
			return hint.With(fmt.Errorf("the name %s is taken by a pod", r.Name), "give the container another name")
		}
		return nil
	}
	if err != nil {
		return err
	}
	if old.Name != r.Name {
		return nil // its ID
	}
	if !mayReplace(r, old) && !e.forsaken(old) {
		return hint.With(container.NameInUseError{Name: r.Name, ID: old.ID}, "podunit rm %s, or --replace", r.Name)
	}
	return e.Containers.Remove(ctx, old, true, true, e.StopTimeoutOf(old))
}

// mayReplace reports whether a start may take the place of a container of its name: with
// --replace, and if the same unit has left it.
func mayReplace(r, old container.Record) bool {
	return r.Spec.Replace || old.Unit != "" && old.Unit == r.Unit
}

// forsaken reports whether a container does not run that goes with its end, and whose maker was to
// remove it: a run in the foreground, which was killed. The caller has the lock of the name, so the
// maker is not about to start it.
func (e *Engine) forsaken(r container.Record) bool {
	if !r.Foreground || !r.Spec.Remove {
		return false
	}
	s, err := e.Containers.Status(r.ID)
	return err == nil && s.PID == 0
}

// stopHolder stops the unit of a container that is to be replaced and runs, or is about to, so that
// the unit does not start it again meanwhile.
func (e *Engine) stopHolder(ctx context.Context, r container.Record) error {
	old, err := e.Containers.LookupExact(r.Name)
	if err != nil || old.Name != r.Name || !mayReplace(r, old) {
		return nil //nolint:nilerr // clear looks again, and tells
	}
	s, err := e.Containers.Status(old.ID)
	if err != nil || s.Unit == "" || s.Unit == e.Own.Name || s.PID == 0 && !e.startedAgain(ctx, old, s.Unit) {
		return err
	}
	return e.StopUnit(ctx, s.Unit)
}
