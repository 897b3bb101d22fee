// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/parallel"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

func asPathError(err error, target **fs.PathError) bool { return errors.As(err, target) }

// found is a unit file that counts, before it is read.
type found struct {
	path string
	dir  string
	base string
	text *unitfile.Source // of a section of a .quadlets file; nil for a file of its own
	bad  report.List      // faults of the .quadlets file
	file bool             // a regular file, not a link or anything else
}

// Loaded is what a search path holds.
type Loaded struct {
	Units  []quadlet.Input // in search order
	Report report.List     // about the run; faults of units are with the units
	Debug  []string        // what was read, one line each
}

// Load reads the unit files in dirs with their drop-ins. Of files with the same name the first
// counts. With debug the result tells what was read. A drop-in with an error is an error of each of
// its units: without it they might run in a way that it is there to prevent.
func Load(dirs []Dir, debug bool) Loaded { return load(dirs, debug, false) }

// LoadLax is Load for Podman's own tests: a drop-in with an error is left out, and only the run has
// an error.
func LoadLax(dirs []Dir, debug bool) Loaded { return load(dirs, debug, true) }

func load(dirs []Dir, debug, lax bool) Loaded {
	var out Loaded
	list := find(dirs, &out)
	drops := indexDropIns(dirs)
	type slot struct {
		in     quadlet.Input
		debug  []string
		faults report.List // of drop-ins, with lax
	}
	slots := make([]slot, len(list))
	parallel.Each(len(list), func(i int) {
		f := list[i]
		s := &slots[i]
		s.in = quadlet.Input{Path: f.path, Base: f.base, Dir: f.dir}
		if f.text != nil {
			s.in.File, s.in.Faults = f.parse()
		} else {
			if debug {
				s.debug = append(s.debug, "Loading source unit file "+f.path)
			}
			s.in.File, s.in.Faults = parse(f.path, f.file)
		}
		var read []string
		read, s.faults = drops.merge(&s.in, lax)
		s.debug = append(s.debug, read...)
	})
	out.Units = make([]quadlet.Input, len(slots))
	for i := range slots {
		out.Units[i] = slots[i].in
		out.Debug = append(out.Debug, slots[i].debug...)
		out.Report = append(out.Report, slots[i].faults...)
	}
	return out
}

// LoadFiles reads single unit files, for checks of files outside of the search path. Drop-ins are
// looked for beside each file. A file that is not a unit's is an error.
func LoadFiles(paths []string) Loaded {
	var out Loaded
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			abs = path
		}
		dir, base := filepath.Split(abs)
		dir = filepath.Clean(dir)
		ext := filepath.Ext(base)
		switch {
		case ext == ".quadlets":
			sections, faults := splitFile(abs, dir, &out)
			out.Report = append(out.Report, unsaid(faults, sections)...)
			for _, f := range sections {
				in := quadlet.Input{Path: f.path, Base: f.base, Dir: f.dir}
				in.File, in.Faults = f.parse()
				out.Units = append(out.Units, in)
			}
		case keys.ByExt(ext) == nil:
			out.Report = append(out.Report, report.Diagnostic{
				Code: "file-type", Pos: report.Position{File: path}, Message: "not a unit file of a known type", Hint: "known are " + extensions(),
			})
		default:
			in := quadlet.Input{Path: abs, Base: base, Dir: dir}
			in.File, in.Faults = parse(abs, false)
			entries, _ := os.ReadDir(dir)
			indexDropIns([]Dir{{dir, entries}}).merge(&in, false)
			out.Units = append(out.Units, in)
		}
	}
	return out
}

func extensions() string {
	var b strings.Builder
	for _, s := range keys.Sections() {
		if s.Ext != "" {
			b.WriteString(s.Ext + " ")
		}
	}
	return b.String() + "and .quadlets"
}

// find lists the unit files that count, first of a name first.
func find(dirs []Dir, out *Loaded) []found {
	var list []found
	seen := map[string]found{}
	add := func(f found) (counts bool) {
		if first, ok := seen[f.base]; ok {
			if f.text != nil && first.dir == f.dir {
				out.Report = append(out.Report, report.Diagnostic{
					Severity: report.Warning, Code: "duplicate", Unit: f.base, Pos: report.Position{File: f.path, Line: f.text.Skip + 1},
					Message: f.base + " is defined twice in one directory, " + first.path + " counts", Hint: "remove one of them",
				})
			}
			return false
		}
		seen[f.base] = f
		list = append(list, f)
		return true
	}
	for _, d := range dirs {
		for _, e := range d.entries {
			name := e.Name()
			if keys.ByExt(filepath.Ext(name)) != nil {
				add(found{path: d.Path + "/" + name, dir: d.Path, base: name, file: e.Type().IsRegular()})
			}
		}
		for _, e := range d.entries {
			if filepath.Ext(e.Name()) == ".quadlets" && !e.IsDir() {
				sections, faults := splitFile(d.Path+"/"+e.Name(), d.Path, out)
				var counting []found
				for _, f := range sections {
					if add(f) {
						counting = append(counting, f)
					}
				}
				out.Report = append(out.Report, unsaid(faults, counting)...)
			}
		}
	}
	return list
}

// maxShared is how many faults of a .quadlets file each of its units shows.
const maxShared = 5

// splitFile reads a .quadlets file. A fault in it is a fault of all its units: where one of them
// ends may be in question.
func splitFile(path, dir string, out *Loaded) ([]found, report.List) {
	out.Debug = append(out.Debug, "Loading source unit file "+path)
	data, hidden, err := read(path)
	if err != nil {
		return nil, report.List{unreadable(path, err)}
	}
	sections, faults := split(path, data)
	var list []found
	for _, s := range sections {
		s.Source.Hidden = hidden
		list = append(list, found{path: path, dir: dir, base: s.Base, text: s.Source, bad: faults[:min(len(faults), maxShared)]})
	}
	return list, faults
}

// unsaid is the faults of a .quadlets file that none of its units shows.
func unsaid(faults report.List, units []found) report.List {
	if len(units) == 0 {
		return faults
	}
	return faults[min(len(faults), maxShared):]
}

// parse reads the text of a section.
func (f found) parse() (*unitfile.File, report.List) {
	file, faults := unitfile.ParseSource(f.text)
	return file, slices.Concat(f.bad, faults)
}

func unreadable(path string, err error) report.Diagnostic {
	d := report.Diagnostic{
		Code: "unreadable", Doing: "loading", Unit: filepath.Base(path), Pos: report.Position{File: path}, Message: "cannot be read: " + err.Error(),
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.Hint = "it is a symlink to nothing; to hide a unit, link it to /dev/null"
	case errors.Is(err, fs.ErrPermission):
		d.Hint = "it must be readable for the user whose services these are"
	case errors.Is(err, errDirectory):
		d.Hint = "give the directory a name without this extension"
	}
	return d
}

// parse reads and parses one file. A file that cannot be read is an empty one with a fault.
func parse(path string, regular bool) (*unitfile.File, report.List) {
	var (
		text   string
		hidden uint32
		err    error
	)
	if regular {
		var buf [small]byte
		text, hidden, err = readRegular(path, &buf)
	} else {
		text, hidden, err = slow(path)
	}
	if err != nil {
		return &unitfile.File{Source: &unitfile.Source{Path: path}}, report.List{unreadable(path, err)}
	}
	return unitfile.ParseSource(&unitfile.Source{Path: path, Text: text, Hidden: hidden})
}

// dropIns finds the drop-ins of units, and reads each once.
type dropIns struct {
	dirs map[string][]string // directory name to the directories of that name, in search order

	mu    sync.Mutex
	lists map[string]dropInDir
	files map[string]dropIn
}

// dropInDir is a directory of drop-ins: their names, or why it cannot be read.
type dropInDir struct {
	names  []string
	faults report.List
}

type dropIn struct {
	file   *unitfile.File
	faults report.List
}

func indexDropIns(dirs []Dir) *dropIns {
	d := &dropIns{dirs: map[string][]string{}, lists: map[string]dropInDir{}, files: map[string]dropIn{}}
	for _, dir := range dirs {
		for _, e := range dir.entries {
			name := e.Name()
			if !strings.HasSuffix(name, ".d") {
				continue
			}
			full := dir.Path + "/" + name
			if !e.IsDir() {
				if st, err := os.Stat(full); err != nil || !st.IsDir() {
					continue
				}
			}
			d.dirs[name] = append(d.dirs[name], full)
		}
	}
	return d
}

// merge adds its drop-ins to a unit, in the order of their file names; of one name the most
// specific counts. With lax those with faults are left out, and their faults are returned instead
// of being the unit's.
func (d *dropIns) merge(in *quadlet.Input, lax bool) (debug []string, left report.List) {
	if len(d.dirs) == 0 {
		return nil, nil
	}
	fault := func(list report.List) {
		if !lax {
			in.Faults = append(in.Faults, list...)
			return
		}
		for _, f := range list {
			f.Unit, f.Doing = in.Base, "loading"
			left = append(left, f)
		}
	}
	winners := map[string]string{}
	var names []string
	for _, dir := range specifier.Parse(in.Base).DropInDirs() {
		for _, path := range d.dirs[dir] {
			list := d.list(path)
			fault(list.faults)
			for _, name := range list.names {
				if _, ok := winners[name]; !ok {
					winners[name] = path + "/" + name
					names = append(names, name)
				}
			}
		}
	}
	sort.Strings(names)
	for _, name := range names {
		path := winners[name]
		debug = append(debug, "Loading source drop-in file "+path)
		drop := d.read(path)
		fault(drop.faults)
		if !lax || len(drop.faults) == 0 {
			in.File.Merge(drop.file)
		}
	}
	return debug, left
}

// list reads a directory once. That it cannot be read is told to every unit that looks into it: a
// drop-in there may say what the unit must not run without.
func (d *dropIns) list(path string) dropInDir {
	d.mu.Lock()
	defer d.mu.Unlock()
	list, ok := d.lists[path]
	if ok {
		return list
	}
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // removed meanwhile: it has none
		list.faults = report.List{unreadable(path, err)}
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".conf") {
			list.names = append(list.names, e.Name())
		}
	}
	d.lists[path] = list
	return list
}

func (d *dropIns) read(path string) dropIn {
	d.mu.Lock()
	defer d.mu.Unlock()
	drop, ok := d.files[path]
	if !ok {
		drop.file, drop.faults = parse(path, false)
		d.files[path] = drop
	}
	return drop
}

// Section is one unit of a .quadlets file.
type Section struct {
	Base   string // file name it would have, as "web.container"
	Source *unitfile.Source
}

// Split takes a .quadlets file apart: units between lines of three dashes, each with a comment "#
// FileName=NAME" and a section that tells its type. A fault in any of them rejects them all.
func Split(path string, data []byte) ([]Section, report.List) {
	sections, faults := split(path, data)
	if len(faults) > 0 {
		return nil, faults
	}
	return sections, nil
}

// split is Split that returns the units whose name is known also when there are faults.
func split(path string, data []byte) ([]Section, report.List) {
	text := string(data)
	if len(text) > unitfile.MaxSize {
		return nil, report.List{{Code: "file-too-large", Doing: "loading", Unit: filepath.Base(path), Pos: report.Position{File: path},
			Message: "file is larger than " + strconv.Itoa(unitfile.MaxSize>>20) + " MiB"}}
	}
	var (
		out    []Section
		faults report.List
		row    = 1 // of the line being looked at
		first  = 1 // of the section's first line
		start  = 0 // offset of it
	)
	fault := func(row int, code, message, hint string) {
		if len(faults) < 50 {
			faults = append(faults, report.Diagnostic{
				Code: code, Doing: "loading", Unit: filepath.Base(path), Pos: report.Position{File: path, Line: row, Col: 1}, Message: message, Hint: hint,
			})
		}
	}
	seen := map[string]int{}
	flush := func(end int) {
		body := text[start:end]
		if strings.TrimSpace(body) == "" {
			return
		}
		lead := body[:len(body)-len(strings.TrimLeft(body, " \t\r\n"))]
		skip := first - 1 + strings.Count(lead, "\n")
		body = strings.TrimSpace(body)
		name, kind := sectionName(body)
		switch {
		case name == "":
			fault(skip+1, "no-file-name", "section has no comment that names its file", "add a line # FileName=NAME to it")
			return
		case strings.ContainsAny(name, `/\`):
			fault(skip+1, "no-file-name", "FileName="+name+" contains a slash or backslash", "write the name alone, without directory")
			return
		case kind == "":
			fault(skip+1, "file-type", "section "+name+" has no type", "add a section such as [Container]")
			return
		}
		base := name + "." + kind
		if before, ok := seen[base]; ok {
			fault(skip+1, "duplicate", base+" is defined twice, first in line "+strconv.Itoa(before), "give one of them another FileName=")
			return
		}
		seen[base] = skip + 1
		out = append(out, Section{base, &unitfile.Source{Path: path, Text: body, Skip: skip}})
	}
	for at := 0; at < len(text); row++ {
		end := len(text)
		next := end
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end, next = at+i, at+i+1
		}
		if line := text[at:end]; len(line) < 64 && strings.TrimSpace(line) == "---" {
			flush(at)
			start, first = next, row+1
		}
		at = next
	}
	flush(len(text))
	if len(out) == 0 && len(faults) == 0 {
		fault(1, "no-section", "file holds no units", "write units separated by lines of three dashes")
	}
	return out, faults
}

// sectionName finds the name and the type, as "web" and "container", of a unit in a .quadlets file.
func sectionName(body string) (name, kind string) {
	for line := range strings.SplitSeq(body, "\n") {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "#"); ok && name == "" {
			if v, ok := strings.CutPrefix(strings.TrimLeft(rest, " \t"), "FileName="); ok {
				name = strings.TrimSpace(v)
			}
		}
		if kind == "" && len(line) > 2 && line[0] == '[' && line[len(line)-1] == ']' {
			if k := strings.ToLower(line[1 : len(line)-1]); k != "" && keys.ByExt("."+k) != nil {
				kind = k
			}
		}
	}
	return name, kind
}
