// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Filters are the keys of a --filter flag, for rows of type T. Conditions of different keys add up.
type Filters[T any] map[string]Filter[T]

// Filter is what a key tests.
type Filter[T any] struct {
	// read turns a value into a test, or says what is wrong with it.
	read func(value string) (func(T) bool, error)
	// all: each value must fit; otherwise the values of the key are alternatives.
	all bool
}

// Any is a key whose values are alternatives.
func Any[T any](test func(row T, value string) bool) Filter[T] {
	return Filter[T]{read: fixed(test)}
}

// All is a key each of whose values must fit.
func All[T any](test func(row T, value string) bool) Filter[T] {
	return Filter[T]{read: fixed(test), all: true}
}

// AnyOf is a key whose values are alternatives, and have a form of their own.
func AnyOf[T any](read func(value string) (func(T) bool, error)) Filter[T] {
	return Filter[T]{read: read}
}

func fixed[T any](test func(row T, value string) bool) func(string) (func(T) bool, error) {
	return func(value string) (func(T) bool, error) {
		return func(row T) bool { return test(row, value) }, nil
	}
}

// Read reads the values of a --filter flag and returns the test for a row.
func (f Filters[T]) Read(filters []string) (func(T) bool, error) {
	tests := map[string][]func(T) bool{}
	for _, text := range filters {
		key, value, ok := strings.Cut(text, "=")
		known := strings.Join(slices.Sorted(maps.Keys(f)), ", ")
		if !ok || value == "" {
			return nil, fmt.Errorf("--filter %q: write KEY=VALUE with one of %s", text, known)
		}
		filter, ok := f[key]
		if !ok {
			return nil, fmt.Errorf("%s is an invalid filter; there are %s", key, known)
		}
		test, err := filter.read(value)
		if err != nil {
			return nil, fmt.Errorf("--filter %q: %w", text, err)
		}
		tests[key] = append(tests[key], test)
	}
	return func(row T) bool {
		for key, alternatives := range tests {
			passed := 0
			for _, test := range alternatives {
				if test(row) {
					passed++
				}
			}
			if passed == 0 || f[key].all && passed < len(alternatives) {
				return false
			}
		}
		return true
	}, nil
}

// hasLabel tests NAME or NAME=VALUE.
func hasLabel(labels map[string]string, want string) bool {
	name, value, exact := strings.Cut(want, "=")
	got, ok := labels[name]
	return ok && (!exact || got == value)
}

// matchesName is matches for names to which docker, and scripts written for it, add a slash.
func matchesName(name, pattern string) bool {
	return matches(name, pattern) || strings.Contains(pattern, "/") && matches("/"+name, pattern)
}

// matchesID tests an ID: a word of hexadecimal digits is its beginning, any other is an expression.
func matchesID(id, pattern string) bool {
	if strings.Trim(pattern, "0123456789abcdefABCDEF") == "" {
		return strings.HasPrefix(id, strings.ToLower(pattern))
	}
	return matches(id, pattern)
}

// matches tests a name against an unanchored regular expression, as podman's filters do;
// what is no expression is taken literally.
func matches(name, pattern string) bool {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return strings.Contains(name, pattern)
	}
	return re.MatchString(name)
}
