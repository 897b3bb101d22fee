// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
)

// Find finds a container as people name it: by its name, its ID or the beginning of it, else by the
// service that it belongs to, with or without the suffix. The container of web.container is
// systemd-web, and its service is web.service. If there is none, the error is
// container.ErrNotFound.
func (e *Engine) Find(name string) (container.Record, error) {
	r, err := e.Containers.Lookup(name)
	if !errors.Is(err, container.ErrNotFound) {
		return r, err
	}
	all, lerr := e.Containers.List()
	if lerr != nil {
		return r, lerr
	}
	var found, before []container.Record
	var names []string
	for _, c := range all {
		s, serr := e.Containers.Status(c.ID)
		if serr != nil {
			return r, serr
		}
		if c.Unit != serviceFile(name) && s.Unit != serviceFile(name) {
			continue
		}
		if c.Unit == "" && s.PID == 0 && s.Unit != serviceName(c) { // it was renamed, and has ended
			before = append(before, c)
			continue
		}
		found, names = append(found, c), append(names, c.Name)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && len(before) == 1:
		return before[0], nil
	case len(found) == 0:
		return r, err
	}
	return r, fmt.Errorf("%s: %w are of that service: %s", name, container.ErrAmbiguous, strings.Join(names, ", "))
}

// FindPod finds a pod as people name it: by its name, its ID or the beginning of it, else by its
// service, with or without the suffixes. The service of web.pod is web-pod.service. If there is
// none, the error is pod.ErrNotFound.
func (e *Engine) FindPod(name string) (pod.Record, error) {
	p, err := e.Pods.Lookup(name)
	if !errors.Is(err, pod.ErrNotFound) {
		return p, err
	}
	all, lerr := e.Pods.List()
	if lerr != nil {
		return p, lerr
	}
	for _, one := range all {
		for _, unit := range []string{serviceFile(name), name + "-pod.service"} {
			if unit == one.Unit || unit == e.Pods.Status(one).Unit {
				return one, nil
			}
		}
	}
	return p, err
}

// NameOf is the name of the container or pod that people mean: the word itself, unless there is no
// container or pod of that name or ID, and a service of that name has one. If several are meant, the
// error is container.ErrAmbiguous.
func (e *Engine) NameOf(word string) (string, error) {
	if _, err := e.Containers.Lookup(word); !errors.Is(err, container.ErrNotFound) {
		return word, err
	}
	if _, err := e.Pods.Lookup(word); !errors.Is(err, pod.ErrNotFound) {
		return word, err
	}
	r, err := e.Find(word)
	if err == nil {
		return r.Name, nil
	}
	// A service that has several containers may have them in one pod.
	p, perr := e.FindPod(word)
	switch {
	case perr == nil:
		return p.Name, nil
	case !errors.Is(err, container.ErrNotFound):
		return word, err
	case !errors.Is(perr, pod.ErrNotFound):
		return word, perr
	}
	return word, nil
}

// serviceFile is the name of a service with its suffix.
func serviceFile(name string) string { return strings.TrimSuffix(name, ".service") + ".service" }
