// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// Rename gives a container another name. A running container keeps the name of its service until it
// is removed. Who shares something with it goes on to do so. The container of a unit file is
// refused: it has its name from the file and would get it again at the next start.
func (e *Engine) Rename(ctx context.Context, r container.Record, name string) error {
	if r.Unit != "" {
		return hint.With(fmt.Errorf("container %s has its name from %s", r.Name, r.Unit), "ContainerName= in its file gives another")
	}
	err := e.WithLock(ctx, r.Name, func(old *container.Lock) error {
		err := e.WithLock(ctx, name, func(*container.Lock) error {
			if _, err := e.Containers.LookupExact(name); !errors.Is(err, container.ErrNotFound) {
				return errors.Join(err, fmt.Errorf("container %s: %w", name, container.ErrNameInUse))
			}
			if _, err := e.Pods.LookupExact(name); !errors.Is(err, pod.ErrNotFound) {
				return errors.Join(err, fmt.Errorf("the name %s is taken by a pod: %w", name, container.ErrNameInUse))
			}
			now, err := e.Containers.Lookup(r.ID)
			if err != nil {
				return err
			}
			s, err := e.Containers.Status(r.ID)
			if err != nil {
				return err
			}
			service := serviceName(now)
			if s.PID != 0 && s.Unit != "" {
				now.Service = s.Unit
			}
			if err := e.Containers.Rename(now, name); err != nil {
				return err
			}
			if s.PID == 0 && s.Unit == service {
				e.forgetUnit(ctx, service) // one that failed, which nobody would look for any more
			}
			now.Name = name
			e.Containers.Tell(now, "rename")
			return nil
		})
		if err != nil {
			return err
		}
		return old.Drop()
	})
	if err != nil {
		return err
	}
	if err := e.renamePeer(ctx, r.Name, name); err != nil {
		return fmt.Errorf("container %s is %s now, but not for all who share something with it: %w", r.Name, name, err)
	}
	return nil
}

// renamePeer has those who name a container, to share something with it, name it by its new name.
func (e *Engine) renamePeer(ctx context.Context, old, name string) error {
	containers, err := e.Containers.List()
	pods, perr := e.Pods.List()
	errs := []error{err, perr}
	for _, one := range containers {
		if !replaceWords(peerWordsOf(&one.Spec), old, name) {
			continue
		}
		if one.Unit != "" {
			e.Warn(fmt.Sprintf("%s names the container %s in its file: write %s there, or its next start does not find it", one.Unit, old, name))
		}
		errs = append(errs, e.WithLock(ctx, one.Name, func(*container.Lock) error {
			now, err := e.Containers.Lookup(one.ID)
			if err != nil || !replaceWords(peerWordsOf(&now.Spec), old, name) {
				return err
			}
			return e.Containers.Note(now)
		}))
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for _, one := range pods {
		if replaceWords(peerWordsOfPod(&one.Spec), old, name) {
			errs = append(errs, e.Pods.Change(ctx, one, func(p *spec.Pod) { replaceWords(peerWordsOfPod(p), old, name) }))
		}
	}
	return errors.Join(errs...)
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
