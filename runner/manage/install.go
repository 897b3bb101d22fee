// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/check"
	"github.com/podunit/podunit/runner/terminal"
)

// File is a file to be installed.
type File struct {
	Name string // base name
	From string // path or URL it comes from
	Data []byte
	Dir  string // where it is found; empty means the install directory
	// Hidden is the read permissions of group and others that the original does not have. The
	// installed file must not have them either.
	Hidden fs.FileMode
}

// Plan is what an installation would do.
type Plan struct {
	Files  []File
	Record string // bookkeeping file that will list them
	Faults []error
}

// Fetch downloads a URL and says what the file is called.
type Fetch func(url string) (name string, data []byte, err error)

// Plan reads what is to be installed. Faults of single arguments do not keep the others back; they
// are in the plan.
func (s Store) Plan(args []string, fetch Fetch) Plan {
	var p Plan
	for i, arg := range args {
		switch st, err := os.Stat(arg); {
		case isURL(arg):
			p.url(arg, i == 0, fetch)
		case err != nil:
			if i == 0 {
				p.Record = recordOf(filepath.Base(arg)) // of what is installed all the same
			}
			p.fail(err)
		case st.IsDir() && i == 0:
			p.directory(arg)
		case st.IsDir():
			p.fail(fmt.Errorf("%s is a directory; only the first argument may be one", arg))
		default:
			p.file(arg, i == 0)
		}
	}
	if p.Record == "" && len(p.Files) > 0 {
		p.Record = recordOf(p.Files[0].Name)
	}
	return p
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

func (p *Plan) fail(err error) { p.Faults = append(p.Faults, err) }

// add takes a file in. Its name must be one of a file in the install directory itself, and act on
// no terminal: a server may have chosen it.
func (p *Plan) add(f File) {
	if f.Name == "" || f.Name == "." || f.Name == ".." || strings.Contains(f.Name, "/") || terminal.Line(f.Name) != f.Name {
		p.fail(fmt.Errorf("%s: %q is not a file name", f.From, f.Name))
		return
	}
	if strings.HasPrefix(f.Name, ".") && (strings.HasSuffix(f.Name, ".app") || strings.HasSuffix(f.Name, ".asset")) {
		p.fail(fmt.Errorf("%s: names such as %s are for the records of installed files", f.From, f.Name))
		return
	}
	for _, o := range p.Files {
		if o.Name == f.Name {
			p.fail(fmt.Errorf("%s: %s is already installed from %s", f.From, f.Name, o.From))
			return
		}
	}
	p.Files = append(p.Files, f)
}

// recordOf names the record of files that are installed with one of that name; it is empty when no
// file can have it.
func recordOf(name string) string {
	switch {
	case name == "" || strings.ContainsAny(name, "/\x00\n"):
		return ""
	case filepath.Ext(name) == ".quadlets":
		return "." + strings.TrimSuffix(name, ".quadlets") + ".app"
	case IsUnit(name):
		return "." + name + ".app"
	}
	return "." + name + ".asset"
}

// first chooses the record by the first argument, and tells whether that may be installed.
func (p *Plan) first(name string) bool {
	p.Record = recordOf(name)
	if filepath.Ext(name) != ".quadlets" && !IsUnit(name) {
		p.fail(fmt.Errorf("%s: %w", name, ErrType))
		return false
	}
	return true
}

func (p *Plan) url(from string, first bool, fetch Fetch) {
	name, data, err := "", []byte(nil), errors.New("downloads are not possible here")
	if fetch != nil {
		name, data, err = fetch(from)
	}
	if err != nil {
		if u, e := url.Parse(from); first && e == nil {
			p.Record = recordOf(path.Base(u.Path))
		}
		p.fail(fmt.Errorf("%s: %w", terminal.Address(from), err))
		return
	}
	if first && !p.first(name) {
		return
	}
	p.add(File{Name: name, From: terminal.Address(from), Data: data})
}

func (p *Plan) file(path string, first bool) {
	name := filepath.Base(path)
	if first && !p.first(name) {
		return
	}
	data, err := source.Read(path)
	if err != nil {
		p.fail(&os.PathError{Op: "read", Path: path, Err: err})
		return
	}
	var hidden fs.FileMode
	if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
		hidden = ^st.Mode() & 0o044
	}
	if filepath.Ext(name) != ".quadlets" {
		p.add(File{Name: name, From: path, Data: data, Hidden: hidden})
		return
	}
	sections, faults := source.Split(path, data)
	for _, d := range faults {
		p.fail(errors.New(d.Place()))
	}
	for _, s := range sections {
		p.add(File{Name: s.Base, From: path, Data: []byte(s.Source.Text + "\n"), Hidden: hidden})
	}
}

func (p *Plan) directory(dir string) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		p.fail(err)
		return
	}
	p.Record = "." + filepath.Base(abs) + ".app"
	entries, err := os.ReadDir(dir)
	if err != nil {
		p.fail(err)
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			p.fail(fmt.Errorf("%s is a directory, and is left out", path))
			continue
		}
		p.file(path, false)
	}
}

// Check says what would be wrong with the files of a plan once they are installed beside those that
// are there, with the drop-ins that are there. Only findings that concern the plan's files are
// returned.
func (s Store) Check(p Plan, opt check.Options) report.List {
	dirs, _ := s.Search.Dirs()
	units, out := s.parse(p)
	source.MergeDropIns(dirs, units)
	files, planned, sources := s.paths(p), map[string]bool{}, map[string]bool{}
	for _, in := range units {
		planned[in.Base] = true
		in.File.EachSource(func(path string) string { sources[path] = true; return path })
		for _, d := range in.Faults {
			sources[d.Pos.File] = true
		}
	}
	// When two units clash, Check complains about the later one. So the installed ones come first.
	var all []quadlet.Input
	for _, in := range source.Load(dirs, false).Units {
		switch {
		case files[in.Path] != nil: // replaced
		case !planned[in.Base]:
			all = append(all, in)
		default:
			i := slices.IndexFunc(units, func(u quadlet.Input) bool { return u.Base == in.Base })
			if hides(dirs, in, units[i]) {
				out = append(out, report.Diagnostic{
					Severity: report.Warning, Code: "hidden", Unit: in.Base, Pos: report.Position{File: units[i].File.Source.Path},
					Message: in.Base + " will have no effect, " + in.Path + " hides it", Hint: "remove that file, or edit it instead",
				})
			}
		}
	}
	all = append(all, units...)
	if exists := opt.Host.Exists; exists != nil {
		opt.Host.Exists = func(path string) bool { return files[path] != nil || exists(path) }
	}
	if read := opt.Host.ReadFile; read != nil {
		opt.Host.ReadFile = func(path string) ([]byte, error) {
			if f := files[path]; f != nil {
				return f.Data, nil
			}
			return read(path)
		}
	}
	for _, d := range check.Check(all, opt) {
		// Check folds a finding about several units into one, perhaps under the name of an
		// installed unit.
		if planned[d.Unit] || d.Also > 0 && sources[d.Pos.File] {
			out = append(out, d)
		}
	}
	out.Sort()
	return out
}

// parse reads the unit files of a plan, without their drop-ins.
func (s Store) parse(p Plan) (units []quadlet.Input, faults report.List) {
	var parts []quadlet.Input
	for _, f := range p.Files {
		path := s.path(f)
		in := quadlet.Input{Path: path, Base: f.Name, Dir: filepath.Dir(path)}
		switch {
		case IsUnit(f.Name):
			// Places are told in the file that people have before them.
			in.File, in.Faults = unitfile.ParseSource(&unitfile.Source{Path: f.From, Text: string(f.Data)})
			units = append(units, in)
		case filepath.Ext(f.Name) == ".quadlets":
			sections, list := source.Split(f.From, f.Data)
			faults = append(faults, list...)
			for _, section := range sections {
				in.Base = section.Base
				in.File, in.Faults = unitfile.ParseSource(section.Source)
				parts = append(parts, in)
			}
		}
	}
	for _, in := range parts {
		if i := slices.IndexFunc(units, func(u quadlet.Input) bool { return u.Base == in.Base }); i >= 0 {
			faults = append(faults, report.Diagnostic{
				Severity: report.Warning, Code: "duplicate", Unit: in.Base, Pos: report.Position{File: in.File.Source.Path, Line: in.File.Source.Skip + 1},
				Message: in.Base + " is defined twice, " + units[i].File.Source.Path + " counts", Hint: "remove one of them",
			})
			continue
		}
		units = append(units, in)
	}
	return units, faults
}

// hides tells whether a unit file that is there counts more than one to come.
func hides(dirs []source.Dir, there, planned quadlet.Input) bool {
	dir := real(planned.Dir)
	if there.Dir != dir {
		return counts(dirs, there.Dir, dir)
	}
	// Of one directory, a file of its own counts more than a section of a .quadlets file.
	section := filepath.Base(planned.Path) != planned.Base
	return section && (filepath.Base(there.Path) == there.Base || filepath.Base(there.Path) < filepath.Base(planned.Path))
}

// path is where a file will be.
func (s Store) path(f File) string {
	if f.Dir != "" {
		return filepath.Join(f.Dir, f.Name)
	}
	return filepath.Join(s.Dir, f.Name)
}

// paths is the files of a plan by where they will be, also as a search writes it: with no link in
// the directory.
func (s Store) paths(p Plan) map[string]*File {
	out := map[string]*File{}
	for i := range p.Files {
		path := s.path(p.Files[i])
		out[path] = &p.Files[i]
		out[filepath.Join(real(filepath.Dir(path)), filepath.Base(path))] = &p.Files[i]
	}
	return out
}

// Diff is a unified diff of what an installation would change; it is empty when nothing would. The
// errors are those that the installation would meet.
func (s Store) Diff(p Plan, replace bool) (out []byte, errs []error) {
	for _, f := range p.Files {
		path := s.path(f)
		oldName := path
		var old []byte
		switch _, err := os.Lstat(path); {
		case errors.Is(err, os.ErrNotExist):
			oldName = "/dev/null"
		case err == nil && !replace:
			errs = append(errs, fmt.Errorf("%s: %w", path, ErrExists))
			continue
		default:
			// A link to nothing has no text to lose.
			if old, err = source.Read(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, &os.PathError{Op: "read", Path: path, Err: err})
				continue
			}
		}
		d := diff.Diff(oldName, old, path, f.Data)
		if i := bytes.IndexByte(d, '\n'); i >= 0 && bytes.HasPrefix(d, []byte("diff ")) {
			d = d[i+1:]
		}
		out = append(out, d...)
	}
	return out, errs
}

// Install writes the files of a plan, and their record. It returns the paths that were written;
// errors of single files do not keep the others back.
func (s Store) Install(ctx context.Context, p Plan, replace bool) (paths []string, errs []error) {
	if len(p.Files) == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, []error{err}
	}
	err := withLock(ctx, s.Dir, func() error {
		paths, errs = s.install(p, replace)
		return nil
	})
	if err != nil {
		return nil, []error{err}
	}
	return paths, errs
}

// install is Install, under the lock.
func (s Store) install(p Plan, replace bool) (paths []string, errs []error) {
	// The record comes first: if podunit is killed before it has written all files, what removes
	// those that are there finds them.
	var names []string
	for _, f := range p.Files {
		if _, err := os.Lstat(s.path(f)); replace || errors.Is(err, os.ErrNotExist) {
			names = append(names, f.Name)
		}
	}
	var had []string
	if p.Record != "" && len(names) > 0 {
		var err error
		if had, err = s.addToRecord(p.Record, names); err != nil {
			return nil, []error{err}
		}
	}
	var failed []string
	for _, f := range p.Files {
		path := s.path(f)
		if err := writeHidden(path, f.Data, nil, f.Hidden, replace); err != nil {
			errs = append(errs, err)
			failed = append(failed, f.Name)
			continue
		}
		paths = append(paths, path)
	}
	// What could not be written is no part of it, unless it was before.
	wrong := slices.DeleteFunc(failed, func(name string) bool { return slices.Contains(had, name) || !slices.Contains(names, name) })
	if p.Record != "" && len(wrong) > 0 {
		if err := s.takeFromRecord(p.Record, wrong); err != nil {
			errs = append(errs, err)
		}
	}
	return paths, errs
}
