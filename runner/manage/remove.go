// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// RemoveOptions are the flags of `podunit quadlet rm`.
type RemoveOptions struct {
	All    bool // every unit file in the search path
	Force  bool // stop services that are active
	Ignore bool // a name that is not there counts as removed
}

// Remove deletes unit files, with the application they belong to and the assets that came with
// them. It returns what was removed; errors of single files do not keep the others back.
func (s Store) Remove(names []string, opt RemoveOptions, sv Services) (removed []string, errs []error) {
	list, err := s.List()
	if err != nil {
		return nil, []error{err}
	}
	records, err := s.records()
	if err != nil {
		return nil, []error{err}
	}
	if opt.All {
		names = nil
		for _, e := range list {
			names = append(names, e.Name)
		}
	}
	want := removal{list: list, records: records, dir: real(s.Dir), drop: map[string]bool{}}
	for _, name := range names {
		err := want.add(name)
		switch {
		case err == nil:
		case opt.Ignore:
			removed = append(removed, name)
		default:
			errs = append(errs, err)
		}
	}
	services := map[string]bool{}
	for _, e := range list {
		services[e.Service] = true
	}
	kept := map[string]bool{} // files of the install directory that stay
	var stopped []Entry
	for _, e := range want.units {
		if err := stopUnit(e, want.drop[e.App], services, opt, sv); err != nil {
			errs = append(errs, err)
			if filepath.Dir(e.Path) == real(s.Dir) {
				kept[filepath.Base(e.Path)] = true
			}
			continue
		}
		stopped = append(stopped, e)
	}
	if _, err := os.Stat(s.Dir); errors.Is(err, fs.ErrNotExist) { // all units are elsewhere
		gone, more := s.removeFiles(want, stopped, kept)
		return append(removed, gone...), append(errs, more...)
	}
	err = withLock(s.Dir, func() error {
		gone, more := s.removeFiles(want, stopped, kept)
		removed, errs = append(removed, gone...), append(errs, more...)
		return nil
	})
	if err != nil {
		errs = append(errs, err)
	}
	return removed, errs
}

// removal is what the names of a command line come to.
type removal struct {
	list    []Entry  // all unit files
	records []record // of all applications and assets
	dir     string   // where podunit installs

	units []Entry         // to delete, each once
	gone  []string        // names of units that are deleted already, but not all that came with them
	drop  map[string]bool // names of records that go with what they list
}

// add finds what a name means. A unit takes its application with it.
func (m *removal) add(name string) error {
	if strings.HasSuffix(name, ".app") {
		i := slices.IndexFunc(m.records, func(r record) bool { return r.name == name || r.name == "."+name })
		if i < 0 {
			return fmt.Errorf("%s: no such application", name)
		}
		m.addApp(m.records[i])
		return nil
	}
	i := slices.IndexFunc(m.list, func(e Entry) bool { return e.Name == name })
	if i < 0 {
		return m.addRest(name)
	}
	e := m.list[i]
	if e.App != "" {
		m.addApp(m.records[slices.IndexFunc(m.records, func(r record) bool { return r.name == e.App })])
	}
	m.addUnit(e)
	return nil
}

// addRest finds what a removal has left that was killed when the unit itself was gone.
func (m *removal) addRest(name string) error {
	found := false
	for _, r := range m.records {
		if r.name == "."+name+".asset" || strings.HasSuffix(r.name, ".app") && slices.Contains(r.files, name) {
			m.addApp(r)
			found = true
		}
	}
	if !found {
		return notFound(name, m.list)
	}
	m.gone = append(m.gone, name)
	return nil
}

func (m *removal) addApp(r record) {
	m.drop[r.name] = true
	for _, e := range m.list {
		if slices.Contains(r.files, filepath.Base(e.Path)) && filepath.Dir(e.Path) == m.dir {
			m.addUnit(e)
		}
	}
}

func (m *removal) addUnit(e Entry) {
	if !slices.ContainsFunc(m.units, func(o Entry) bool { return o.Name == e.Name }) {
		m.units = append(m.units, e)
	}
}

// stopUnit stops what may be stopped of a unit that goes. A section of a .quadlets file goes with its
// application, when that has no other unit to keep.
func stopUnit(e Entry, inApp bool, services map[string]bool, opt RemoveOptions, sv Services) error {
	if e.text != nil && !inApp {
		return hinted{fmt.Errorf("%s is a section of %s", e.Name, e.Path), "edit that file"}
	}
	up, err := sv.active(e, services)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", e.Name, err)
	case len(up) > 0 && !opt.Force:
		return fmt.Errorf("%s %w: %s", e.Name, ErrActive, strings.Join(up, ", "))
	}
	for _, name := range up {
		if err := sv.Stop(name); err != nil {
			return fmt.Errorf("%s: %w", e.Name, err)
		}
	}
	return nil
}

// removeFiles deletes units that have been stopped, and what came with them: that first, the units then,
// and the records last, so that a removal that is killed can be done again. kept are files of units that
// stay. While one stays, so does what was installed with it: its service may be running on it.
func (s Store) removeFiles(want removal, units []Entry, kept map[string]bool) (removed []string, errs []error) {
	removed = slices.Clone(want.gone)
	var records []record
	for _, r := range want.records {
		asset := strings.TrimSuffix(strings.TrimPrefix(r.name, "."), ".asset")
		of := func(e Entry) bool { return e.text == nil && r.name != "."+asset && e.Name == asset }
		if want.drop[r.name] || slices.ContainsFunc(units, of) {
			records = append(records, r)
		}
	}
	stay := func(r record) bool { return slices.ContainsFunc(r.files, func(name string) bool { return kept[name] }) }
	remove := func(path string) bool {
		err := os.Remove(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
			kept[filepath.Base(path)] = true
		}
		return err == nil
	}
	for _, r := range records {
		for _, name := range r.files {
			if unit := IsUnit(name) || filepath.Ext(name) == ".quadlets"; !unit && !stay(r) {
				remove(filepath.Join(s.Dir, name))
			}
		}
	}
	parts := map[string][]string{} // of .quadlets files that go with their application
	for _, e := range units {
		switch {
		case e.text != nil:
			parts[filepath.Base(e.Path)] = append(parts[filepath.Base(e.Path)], e.Name)
		case remove(e.Path):
			removed = append(removed, e.Name)
		}
	}
	for _, r := range records {
		var left []string
		for _, name := range r.files {
			path := filepath.Join(s.Dir, name)
			if stay(r) {
				if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
					left = append(left, name)
				}
				continue
			}
			if remove(path) {
				removed = append(removed, parts[name]...)
			}
		}
		if err := s.writeRecord(r.name, left); err != nil {
			errs = append(errs, err)
		}
	}
	return removed, errs
}
