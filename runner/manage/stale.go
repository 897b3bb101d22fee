// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"bytes"
	"slices"

	"github.com/podunit/podunit/generator/source"
)

// Changes names the installed unit files that an installation will change. When it changes a file
// that is no unit file, such as an environment file, all unit files of the plan count as changed,
// since each may read it. Call it before Install.
func (s Store) Changes(p Plan) []string {
	var units, changed []string
	beside := false
	for _, f := range p.Files {
		old, err := source.Read(s.path(f))
		there := err == nil
		differs := there && !bytes.Equal(old, f.Data)
		if !IsUnit(f.Name) {
			beside = beside || differs
			continue
		}
		if there {
			units = append(units, f.Name)
		}
		if differs {
			changed = append(changed, f.Name)
		}
	}
	if beside {
		return units
	}
	return changed
}

// Stale names the running services of changed unit files. They run as the old files said until they
// are restarted. The names are sorted.
func (s Store) Stale(names []string, sv Services) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	own := map[string]bool{}
	for _, e := range list {
		own[e.Service] = true
	}
	var stale []string
	for _, e := range list {
		if !slices.Contains(names, e.Name) {
			continue
		}
		up, err := sv.active(e, own)
		if err != nil {
			return nil, err
		}
		stale = append(stale, up...)
	}
	slices.Sort(stale)
	return slices.Compact(stale), nil
}
