// SPDX-License-Identifier: Apache-2.0

package service

import (
	"slices"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
)

func TestWithDependents(t *testing.T) {
	w := newWorld(t)
	base := w.made("base", nil)
	w.made("other", nil)
	joins := func(name string) func(*container.Record) {
		return func(r *container.Record) {
			r.Spec.Networks = []spec.Network{{Mode: spec.NetContainer, Name: name}}
		}
	}
	w.made("first", joins("base"))
	w.made("second", joins("first"))
	all, err := w.WithDependents([]container.Record{base})
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	if want := []string{"base", "first", "second"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("%v, %v; want %v", names, err, want)
	}
}
