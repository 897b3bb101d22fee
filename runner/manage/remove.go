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
	kept := map[string]bool{}      // files of the install directory that stay
	parts := map[string][]string{} // of .quadlets files that go with their application
	for _, e := range want.units {
		if err := s.removeUnit(e, want.drop[e.App], services, opt, sv); err != nil {
			errs = append(errs, err)
			if filepath.Dir(e.Path) == real(s.Dir) {
				kept[filepath.Base(e.Path)] = true
			}
			continue
		}
		if e.text != nil {
			parts[filepath.Base(e.Path)] = append(parts[filepath.Base(e.Path)], e.Name)
			continue
		}
		removed = append(removed, e.Name)
	}
	for _, r := range records {
		assetOf := strings.TrimSuffix(strings.TrimPrefix(r.name, "."), ".asset")
		isAsset := strings.HasSuffix(r.name, ".asset") && slices.Contains(removed, assetOf)
		if !want.drop[r.name] && !isAsset {
			continue
		}
		gone, err := s.removeRecord(r, kept)
		if err != nil {
			errs = append(errs, err)
		}
		for _, name := range gone {
			removed = append(removed, parts[name]...)
		}
	}
	return removed, errs
}

// removal is what the names of a command line come to.
type removal struct {
	list    []Entry  // all unit files
	records []record // of all applications and assets
	dir     string   // where podunit installs

	units []Entry         // to delete, each once
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
		return notFound(name, m.list)
	}
	e := m.list[i]
	if e.App != "" {
		m.addApp(m.records[slices.IndexFunc(m.records, func(r record) bool { return r.name == e.App })])
	}
	m.addUnit(e)
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

// removeUnit stops what may be stopped and deletes the file of a unit. A section of a .quadlets
// file goes with its application, when that has no other unit to keep.
func (s Store) removeUnit(e Entry, inApp bool, services map[string]bool, opt RemoveOptions, sv Services) error {
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
	if e.text != nil {
		return nil
	}
	return os.Remove(e.Path)
}

// removeRecord deletes the other files that a record lists, and the record. While a unit stays, so
// does what was installed with it: its service may be running on it. It returns the files that it
// deleted.
func (s Store) removeRecord(r record, kept map[string]bool) (gone []string, err error) {
	keep := slices.ContainsFunc(r.files, func(name string) bool { return kept[name] })
	var errs []error
	var left []string
	for _, name := range r.files {
		path := filepath.Join(s.Dir, name)
		if keep {
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				left = append(left, name)
			}
			continue
		}
		switch err := os.Remove(path); {
		case err == nil:
			gone = append(gone, name)
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	path := filepath.Join(s.Dir, r.name)
	if len(left) > 0 {
		errs = append(errs, writeFile(path, []byte(strings.Join(left, "\n")+"\n"), nil, true))
		return gone, errors.Join(errs...)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return gone, errors.Join(errs...)
}
