// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// Rename gives a container another name. A running container keeps its service until somebody starts
// it again or, outside a pod, restarts it; one made with --rm keeps it to its end. Who shares
// something with it goes on to do so. The container of a unit file is refused: it has its name from
// the file and would get it again at the next start.
func (e *Engine) Rename(ctx context.Context, r container.Record, name string) error {
	if r.Unit != "" {
		return hint.With(fmt.Errorf("container %s has its name from %s", r.Name, r.Unit), "ContainerName= in its file gives another")
	}
	if err := e.nameIsFree(name); err != nil {
		return err
	}
	// By its ID they mean it before and after, wherever this is cut short.
	units, err := e.replacePeer(ctx, r.Name, r.ID)
	if err != nil {
		return fmt.Errorf("container %s is not renamed, as not all who share something with it could note that: %w", r.Name, err)
	}
	var now container.Record
	renamed := false
	left := "" // the unit of one that has ended
	err = e.WithLock(ctx, r.Name, func(old *container.Lock) error {
		err := e.WithLock(ctx, name, func(*container.Lock) (err error) {
			now, left, err = e.renameLocked(r, name)
			renamed = err == nil
			return err
		})
		if err != nil {
			return err
		}
		return old.Drop()
	})
	if err != nil && !renamed {
		_, perr := e.replacePeer(context.WithoutCancel(ctx), r.ID, r.Name) // a signal may have ended the wait
		err = errors.Join(err, perr)
	}
	if err != nil {
		return err
	}
	for _, unit := range units {
		e.Warn(fmt.Sprintf("%s names the container %s in its file: write %s there, or its next start does not find it", unit, r.Name, name))
	}
	if now.Health != nil {
		if err := e.renameChecks(now); err != nil && !errors.Is(err, health.ErrNone) {
			e.Warn(fmt.Sprintf("until the next start of container %s its health checks name it %s: %v", name, r.Name, err))
		}
	}
	if left != "" {
		err = e.leaveUnit(ctx, now, left)
	}
	if _, perr := e.replacePeer(ctx, r.ID, name); perr != nil {
		err = errors.Join(err, fmt.Errorf("container %s is %s now, but some who share something with it name it by its ID: %w", r.Name, name, perr))
	}
	return err
}

// nameIsFree has no error where neither a container nor a pod has the name.
func (e *Engine) nameIsFree(name string) error {
	if _, err := e.Containers.LookupExact(name); !errors.Is(err, container.ErrNotFound) {
		return errors.Join(err, fmt.Errorf("container %s: %w", name, container.ErrNameInUse))
	}
	if _, err := e.Pods.LookupExact(name); !errors.Is(err, pod.ErrNotFound) {
		return errors.Join(err, fmt.Errorf("the name %s is taken by a pod: %w", name, container.ErrNameInUse))
	}
	return nil
}

// renameLocked does that under the locks of both names. It returns the record as it is then, and the
// unit of the old name, if the container was in that and does not run.
func (e *Engine) renameLocked(r container.Record, name string) (now container.Record, left string, err error) {
	if err := e.nameIsFree(name); err != nil {
		return now, "", err
	}
	if now, err = e.Containers.Lookup(r.ID); err != nil {
		return now, "", err
	}
	s, err := e.Containers.Status(r.ID)
	if err != nil {
		return now, "", err
	}
	if s.PID == 0 && s.Unit == serviceName(now) {
		left = s.Unit
	}
	if err := e.Containers.Rename(now, name); err != nil {
		return now, "", err
	}
	now.Name = name
	e.Containers.Tell(now, "rename")
	return now, left, nil
}

// renameChecks has the health checks of a running container know its new name: they write it, and
// stop the container under its lock.
func (e *Engine) renameChecks(r container.Record) error {
	files := e.Containers.HealthFiles(r.ID)
	if _, err := files.Plan(); err != nil {
		return err // none, where it has not been started
	}
	return files.WithLock(func() error {
		plan, err := files.Plan()
		if err != nil {
			return err
		}
		plan.Name = r.Name
		return files.Replan(plan)
	})
}

// leaveUnit parts a container that has ended and was renamed from the unit of its old name, which
// may be another container's soon, unless that unit is about to start it again. The unit may wait
// for the lock of the container at its end, so the caller holds none.
func (e *Engine) leaveUnit(ctx context.Context, r container.Record, unit string) error {
	if e.startedAgain(ctx, r, unit) {
		return nil
	}
	e.forgetUnit(ctx, unit) // one that failed, which nobody would look for any more
	return e.WithLock(ctx, r.Name, func(*container.Lock) error { return e.Containers.LeaveUnit(r.ID, unit) })
}

// replacePeer has those who name a container by one word, to share something with it, name it by
// another one. It returns the units of those that are from unit files. Whoever is at work on one of
// them is waited for as long as on a single one.
func (e *Engine) replacePeer(ctx context.Context, old, word string) (units []string, err error) {
	containers, err := e.Containers.List()
	pods, perr := e.Pods.List()
	errs := []error{err, perr}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for _, one := range containers {
		if !replaceWords(peerWordsOf(&one.Spec), old, word) {
			continue
		}
		if one.Unit != "" {
			units = append(units, one.Unit)
		}
		err := e.withLock(ctx, 0, one.Name, func(*container.Lock) error {
			now, err := e.Containers.Lookup(one.ID)
			if err != nil || !replaceWords(peerWordsOf(&now.Spec), old, word) {
				return err
			}
			return e.Containers.Note(now)
		})
		if !errors.Is(err, container.ErrNotFound) { // one that was removed names nobody
			errs = append(errs, err)
		}
	}
	for _, one := range pods {
		if !replaceWords(peerWordsOfPod(&one.Spec), old, word) {
			continue
		}
		if one.Unit != "" {
			units = append(units, one.Unit)
		}
		errs = append(errs, e.Pods.Change(ctx, one, func(p *spec.Pod) { replaceWords(peerWordsOfPod(p), old, word) }))
	}
	return units, errors.Join(errs...)
}

// replaceWords puts one word for another, and reports whether that was there.
func replaceWords(words []*string, old, word string) (found bool) {
	for _, w := range words {
		if *w == old {
			*w, found = word, true
		}
	}
	return found
}
