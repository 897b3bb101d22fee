// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

// DependentsError says that other containers use namespaces of one that is to be removed.
type DependentsError struct {
	Name       string
	Dependents []string // names
}

func (e DependentsError) Error() string {
	return fmt.Sprintf("container %s: its namespaces are used by %s", e.Name, strings.Join(e.Dependents, ", "))
}

// Hint is the way out.
func (e DependentsError) Hint() string {
	return "podunit rm " + strings.Join(e.Dependents, " ") + ", first"
}

// needed returns a DependentsError if other containers were made to share a namespace of r.
func (e *Engine) needed(r container.Record) error {
	all, err := e.Containers.List()
	if err != nil {
		return err
	}
	var names []string
	for _, other := range dependents(all, r) {
		names = append(names, other.Name)
	}
	if len(names) > 0 {
		return DependentsError{Name: r.Name, Dependents: names}
	}
	return nil
}

// dependents are those of the containers that were made to share a namespace of r.
func dependents(all []container.Record, r container.Record) []container.Record {
	var found []container.Record
	means := func(word string) bool { // its name, or the beginning of its ID where that is nobody's name
		if slices.ContainsFunc(all, func(one container.Record) bool { return one.Name == word }) {
			return word == r.Name
		}
		return word != "" && strings.HasPrefix(r.ID, word)
	}
	for _, other := range all {
		if other.ID != r.ID && slices.ContainsFunc(SharedWith(other.Spec), means) {
			found = append(found, other)
		}
	}
	return found
}

// WithDependents adds to containers those that were made to share a namespace of one of them.
func (e *Engine) WithDependents(records []container.Record) ([]container.Record, error) {
	all, err := e.Containers.List()
	if err != nil {
		return records, err
	}
	for i := 0; i < len(records); i++ { // it grows
		for _, other := range dependents(all, records[i]) {
			if !slices.ContainsFunc(records, func(r container.Record) bool { return r.ID == other.ID }) {
				records = append(records, other)
			}
		}
	}
	return records, nil
}

// SharedWith lists the containers whose namespaces a container shares, as the command line names
// them.
func SharedWith(s spec.Container) []string {
	var names []string
	for _, ns := range append(networkNamespace(s.Networking), namespacesOf(&s)...) {
		if ns.Mode == "container" {
			names = append(names, ns.Container)
		}
	}
	return names
}
