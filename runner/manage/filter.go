// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"fmt"
	"regexp"
	"strings"
)

// Row is a line of `podunit quadlet list`; the names of its fields are those of the templates.
type Row struct {
	Name     string
	UnitName string
	Path     string
	Status   string
	App      string
	Pod      string
}

// Filter chooses rows. Values of one key are alternatives; different keys must all match.
type Filter map[string][]*regexp.Regexp

// ParseFilters reads KEY=REGEXP, where KEY is name, status or pod.
func ParseFilters(args []string) (Filter, error) {
	f := Filter{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("filter %q has no value; write KEY=REGEXP", arg)
		}
		switch key {
		case "name", "status", "pod":
		default:
			return nil, fmt.Errorf("unknown filter %q; there are name, status and pod", key)
		}
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, fmt.Errorf("filter %q: %w", arg, err)
		}
		f[key] = append(f[key], re)
	}
	return f, nil
}

// Match tells whether a row is wanted.
func (f Filter) Match(r Row) bool {
	for key, list := range f {
		value := map[string]string{"name": r.Name, "status": r.Status, "pod": r.Pod}[key]
		found := false
		for _, re := range list {
			found = found || re.MatchString(value)
		}
		if !found {
			return false
		}
	}
	return true
}
