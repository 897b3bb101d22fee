// SPDX-License-Identifier: Apache-2.0

// Package manage installs, lists, shows and removes unit files: the library behind `podunit
// quadlet`. It keeps two kinds of records in the install directory, as Podman does: .NAME.app for
// files installed together, and .NAME.asset for files that came with one. A record holds one base
// name a line.
package manage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/runner/safe"
)

// Store is where unit files are kept and looked for.
type Store struct {
	// Dir is the directory that files are installed to.
	Dir string
	// Search is the path that files are looked up in; Dir is normally one of it.
	Search source.Search
	// Warn receives what is odd in the records; nil drops it.
	Warn func(message string)
}

// Errors that callers may compare with errors.Is.
var (
	ErrNotFound = errors.New("no such unit file")
	ErrExists   = errors.New("already exists")
	ErrActive   = errors.New("is active")
	ErrType     = errors.New("not a unit file of a known type")
)

// Entry is a unit file in the search path.
type Entry struct {
	Name    string // "web.container"
	Service string // "web.service"; empty when the file cannot be parsed, or no service can have the name
	Path    string
	App     string // name of the record that lists it, as ".shop.app"
	Pod     string // Pod= as written
	Problem string // why Service is empty
	text    []byte // of a section of a .quadlets file
}

// List returns the unit files of the search path, in its order.
func (s Store) List() ([]Entry, error) {
	dirs, _ := s.Search.Dirs()
	loaded := source.Load(dirs, false)
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, in := range loaded.Units {
		e := Entry{Name: in.Base, Path: in.Path}
		if filepath.Base(in.Path) != in.Base {
			e.text = []byte(in.File.Source.Text + "\n")
		}
		if len(in.Faults) > 0 {
			e.Problem = in.Faults[0].Place()
		} else {
			u := quadlet.New(in)
			// systemd refuses to be asked for a name that cannot be one.
			if problem := specifier.Problem(u.Service + ".service"); problem != "" {
				e.Problem = "the name " + strconv.Quote(u.Service+".service") + " " + problem
			} else {
				e.Service = u.Service + ".service"
			}
			if u.Type.Name == "Container" {
				e.Pod = u.Str("Pod")
			}
		}
		for _, r := range records {
			if strings.HasSuffix(r.name, ".app") && slices.Contains(r.files, filepath.Base(in.Path)) && filepath.Dir(in.Path) == real(s.Dir) {
				e.App = r.name
			}
		}
		out = append(out, e)
	}
	return out, nil
}

func real(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}

// Find returns the unit file of that name which counts.
func (s Store) Find(name string) (Entry, error) {
	list, err := s.List()
	if err != nil {
		return Entry{}, err
	}
	for _, e := range list {
		if e.Name == name {
			return e, nil
		}
	}
	return Entry{}, notFound(name, list)
}

// notFound is the error for a name that is no unit file's. People give the name of the service, or
// of the container, for that of the file.
func notFound(name string, list []Entry) error {
	err := fmt.Errorf("could not locate %s: %w", name, ErrNotFound)
	if !IsUnit(name) {
		err = fmt.Errorf("%s: %w", name, ErrType)
	}
	stem := strings.TrimSuffix(name, ".service")
	var meant, names []string
	for _, e := range list {
		names = append(names, e.Name)
		if file := strings.TrimSuffix(e.Name, filepath.Ext(e.Name)); file == stem || "systemd-"+file == stem || e.Service == stem+".service" {
			meant = append(meant, e.Name)
		}
	}
	if len(meant) == 0 {
		if near := spelling.Nearest(name, names); near != "" {
			meant = []string{near}
		}
	}
	if len(meant) == 0 {
		return err
	}
	return hinted{err, "did you mean " + strings.Join(meant, " or ") + "?"}
}

// Read returns a unit file byte for byte, without its drop-ins.
func (s Store) Read(name string) ([]byte, Entry, error) {
	e, err := s.Find(name)
	if err != nil {
		return nil, e, err
	}
	if e.text != nil {
		return e.text, e, nil
	}
	data, err := source.Read(e.Path)
	if err != nil {
		err = &os.PathError{Op: "read", Path: e.Path, Err: err}
	}
	return data, e, err
}

// IsUnit tells whether a name ends like that of a unit file.
func IsUnit(name string) bool { return keys.ByExt(filepath.Ext(name)) != nil }

// record is a bookkeeping file.
type record struct {
	name  string // ".shop.app"
	files []string
	added []string // what an installation has added while a removal went on
}

// records reads the bookkeeping files of the install directory. A line with a slash does not count:
// no record may have files removed elsewhere.
func (s Store) records() ([]record, error) {
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []record
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasPrefix(name, ".") || !strings.HasSuffix(name, ".app") && !strings.HasSuffix(name, ".asset") {
			continue
		}
		data, err := source.Read(filepath.Join(s.Dir, name))
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: filepath.Join(s.Dir, name), Err: err}
		}
		r := record{name: name}
		row := 0
		for line := range strings.SplitSeq(string(data), "\n") {
			row++
			line = strings.TrimSpace(line)
			switch {
			case line == "" || slices.Contains(r.files, line):
			case !strings.Contains(line, "/"):
				r.files = append(r.files, line)
			case s.Warn != nil:
				s.Warn(fmt.Sprintf("%s:%d: %q is no file name and is left out", filepath.Join(s.Dir, name), row, line))
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// addToRecord adds names to a bookkeeping file, and returns those that it had.
func (s Store) addToRecord(name string, files []string) (had []string, err error) {
	had, err = s.record(name)
	if err != nil {
		return nil, err
	}
	have := slices.Clone(had)
	for _, f := range files {
		if !slices.Contains(have, f) {
			have = append(have, f)
		}
	}
	return had, s.writeRecord(name, have)
}

// takeFromRecord takes names out of a bookkeeping file, which goes when it has none left.
func (s Store) takeFromRecord(name string, files []string) error {
	have, err := s.record(name)
	if err != nil {
		return err
	}
	return s.writeRecord(name, slices.DeleteFunc(have, func(f string) bool { return slices.Contains(files, f) }))
}

// record reads one bookkeeping file.
func (s Store) record(name string) ([]string, error) {
	records, err := s.records()
	if i := slices.IndexFunc(records, func(r record) bool { return r.name == name }); i >= 0 {
		return records[i].files, err
	}
	return nil, err
}

func (s Store) writeRecord(name string, files []string) error {
	path := filepath.Join(s.Dir, name)
	if len(files) > 0 {
		return writeFile(path, []byte(strings.Join(files, "\n")+"\n"), nil, true)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writeFile writes a file whole or not at all, with the mode of another or 0644. Without replace it
// leaves an existing one alone. The caller has the lock of the directory.
func writeFile(path string, data []byte, like fs.FileInfo, replace bool) error {
	return writeHidden(path, data, like, 0, replace)
}

// writeHidden is writeFile without the permissions in hidden.
func writeHidden(path string, data []byte, like fs.FileInfo, hidden fs.FileMode, replace bool) error {
	f, err := os.CreateTemp(filepath.Dir(path), temporary)
	if err != nil {
		return err
	}
	temp := f.Name()
	_, err = f.Write(data)
	mode := fs.FileMode(0o644)
	if like != nil {
		mode = like.Mode().Perm()
		// Only root can give files away. A file that another user replaces becomes that user's.
		if st, ok := like.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			if e := f.Chown(int(st.Uid), int(st.Gid)); err == nil {
				err = e
			}
		}
	}
	if e := f.Chmod(mode &^ hidden); err == nil {
		err = e
	}
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	switch {
	case err != nil:
	case replace:
		err = os.Rename(temp, path)
	default:
		if err = os.Link(temp, path); errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s: %w", path, ErrExists)
		}
		_ = os.Remove(temp) // the other name is the one that counts
	}
	if err != nil {
		_ = os.Remove(temp) // the first error is the one to tell
		return err
	}
	return safe.Sync(filepath.Dir(path))
}
