// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// RemoveOptions are the flags of `podunit quadlet rm`.
type RemoveOptions struct {
	All    bool // every unit file in the search path
	Force  bool // stop services that are active
	Ignore bool // a name that is not there counts as removed
}

// Remove deletes unit files, with the application they belong to and the assets that came with
// them. It returns what was removed; errors of single files do not keep the others back.
func (s Store) Remove(ctx context.Context, names []string, opt RemoveOptions, sv Services) (removed []string, errs []error) {
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
	if opt.All {
		want.addLeft()
	}
	want.look()
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
	err = withLock(ctx, s.Dir, func() error {
		now, err := s.records()
		if err != nil {
			return err
		}
		want.lookAgain(now)
		stopped, changed := want.unchanged(stopped, kept)
		gone, more := s.removeFiles(want, stopped, kept)
		removed, errs = append(removed, gone...), slices.Concat(errs, changed, more)
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

	// The files that may go, by their paths, as they were before any service was stopped; nil for
	// none.
	seen map[string]fs.FileInfo
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
		if IsUnit(name) && slices.Contains(r.units(), name) && !m.there(name) {
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

// addLeft adds all that such removals have left: the records that had units, and have none any more.
func (m *removal) addLeft() {
	for _, r := range m.records {
		units := r.units()
		if len(units) == 0 || slices.ContainsFunc(units, m.there) {
			continue
		}
		m.drop[r.name] = true
		m.gone = append(m.gone, slices.DeleteFunc(units, func(name string) bool { return !IsUnit(name) })...)
	}
}

// there tells whether a unit file of that name exists.
func (m *removal) there(name string) bool {
	_, err := os.Lstat(filepath.Join(m.dir, name))
	return !errors.Is(err, fs.ErrNotExist) || slices.ContainsFunc(m.list, func(e Entry) bool { return e.Name == name })
}

// units names the unit files of an application, or the one that the assets came with.
func (r record) units() []string {
	if asset, ok := strings.CutSuffix(strings.TrimPrefix(r.name, "."), ".asset"); ok {
		if !IsUnit(asset) {
			return nil
		}
		return []string{asset}
	}
	return slices.DeleteFunc(slices.Clone(r.files), func(name string) bool { return !holdsUnits(name) })
}

// holdsUnits tells whether a file of that name is a unit file, or one of several units.
func holdsUnits(name string) bool { return IsUnit(name) || filepath.Ext(name) == ".quadlets" }

// look notes how the files are: others may write them while services are being stopped.
func (m *removal) look() {
	m.seen = map[string]fs.FileInfo{}
	note := func(path string) { m.seen[path], _ = os.Lstat(path) } // it is removed, or that says the error
	for _, e := range m.units {
		note(e.Path)
	}
	for _, r := range m.going(m.units) {
		for _, name := range r.files {
			note(filepath.Join(m.dir, name))
		}
	}
}

// lookAgain takes over what has become of the records meanwhile, when nobody else can write them
// any more. What has been added to one stays.
func (m *removal) lookAgain(now []record) {
	for i := range m.records {
		r := &m.records[i]
		var files []string
		if n := slices.IndexFunc(now, func(n record) bool { return n.name == r.name }); n >= 0 {
			files = now[n].files
		}
		had := r.files
		r.files = nil
		for _, name := range files {
			if slices.Contains(had, name) {
				r.files = append(r.files, name)
			} else {
				r.added = append(r.added, name)
			}
		}
	}
}

// unchanged are those of the units whose files nobody has written meanwhile. It adds to kept what has
// been written.
func (m *removal) unchanged(units []Entry, kept map[string]bool) (same []Entry, errs []error) {
	changed := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(m.seen)) {
		before := m.seen[path]
		now, err := os.Lstat(path)
		if err != nil || before != nil && os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) {
			continue
		}
		changed[path] = true
		if filepath.Dir(path) == m.dir {
			kept[filepath.Base(path)] = true
		}
		errs = append(errs, hinted{fmt.Errorf("%s has been written by somebody else meanwhile, and stays", path), "give the command again if it is to go"})
	}
	return slices.DeleteFunc(units, func(e Entry) bool { return changed[e.Path] }), errs
}

// going are the records of what goes when these units do.
func (m *removal) going(units []Entry) (out []record) {
	for _, r := range m.records {
		asset := strings.TrimSuffix(strings.TrimPrefix(r.name, "."), ".asset")
		of := func(e Entry) bool { return e.text == nil && r.name != "."+asset && e.Name == asset }
		if m.drop[r.name] || slices.ContainsFunc(units, of) {
			out = append(out, r)
		}
	}
	return out
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
	if err := unix.Faccessat(unix.AT_FDCWD, filepath.Dir(e.Path), unix.W_OK, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "remove", Path: e.Path, Err: err} // before anything goes that came with it
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

// removeFiles deletes units that have been stopped, and what came with them: that first, the units
// then, and the records last, so that a removal that is killed can be done again. kept are files of
// units that stay. While one stays, so does what was installed with it: its service may be running
// on it.
func (s Store) removeFiles(want removal, units []Entry, kept map[string]bool) (removed []string, errs []error) {
	records := want.going(units)
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
			if !holdsUnits(name) && !stay(r) {
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
		left := r.added
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
	if len(kept) == 0 && len(errs) == 0 {
		removed = append(removed, want.gone...) // their rest has gone
	}
	return removed, errs
}
