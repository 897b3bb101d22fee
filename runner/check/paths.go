// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/source"
	"github.com/podunit/podunit/runner/safe"
)

// Paths checks the unit files, Kubernetes YAML files and directories that somebody names, or the
// whole search path when there are none. It judges a single unit file with the files beside it in
// mind, but reports only on the named ones. The second result is the number of files that were
// read.
func Paths(paths []string, search source.Search, opt Options) (report.List, int) {
	list, paths, documents := documents(paths, opt)
	if documents == 0 || len(paths) > 0 {
		named := load(paths, search)
		others := beside(paths, named, search)
		// When two units clash, Check complains about the later one, so the named ones come last.
		list = append(append(list, named.Report...), about(named, others, Check(append(others, named.Units...), opt))...)
		documents += len(named.Units)
	}
	list.Sort()
	return list.Dedup(), documents
}

// documents judges the Kubernetes YAML files among paths, each for itself, and returns the other
// paths and how many there were.
func documents(paths []string, opt Options) (list report.List, others []string, n int) {
	for _, path := range paths {
		if opt.Kube == nil || !IsKubernetes(path) {
			others = append(others, path)
			continue
		}
		n++
		data, err := safe.ReadGiven(path, maxRead)
		if err != nil {
			list = append(list, unreadable(path, err))
			continue
		}
		list = append(list, opt.Kube(path, data)...)
	}
	return list, others, n
}

// IsKubernetes tells whether a path is that of Kubernetes YAML, by its extension.
func IsKubernetes(path string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
}

// unreadable says why a file cannot be read.
func unreadable(path string, err error) report.Diagnostic {
	text := err.Error()
	var p *os.PathError
	if errors.As(err, &p) {
		text = p.Err.Error()
	}
	return report.Diagnostic{Code: "unreadable", Pos: report.Position{File: path}, Message: "cannot be read: " + text}
}

// load reads the unit files of paths, or those of the search path when there are no paths.
func load(paths []string, search source.Search) source.Loaded {
	if len(paths) == 0 {
		dirs, faults := search.Dirs()
		loaded := source.Load(dirs, false)
		loaded.Report = append(faults, loaded.Report...)
		return loaded
	}
	var all source.Loaded
	seen := map[string]bool{}
	add := func(l source.Loaded) {
		all.Report = append(all.Report, l.Report...)
		for _, in := range l.Units {
			base := in.Base
			if base == "" {
				base = filepath.Base(in.Path)
			}
			if !seen[base] {
				seen[base] = true
				all.Units = append(all.Units, in)
			}
		}
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		switch {
		case err != nil:
			all.Report = append(all.Report, unreadable(path, err))
		case st.IsDir():
			add(loadDirectory(path))
		default:
			add(source.LoadFiles([]string{path}))
		}
	}
	return shortPaths(all, paths)
}

// loadDirectory reads one directory and those below it, as the generator would if it were the
// search path.
func loadDirectory(path string) source.Loaded {
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	dirs, faults := source.Search{Getenv: func(name string) string {
		if name == "QUADLET_UNIT_DIRS" {
			return strings.ReplaceAll(abs, ":", "?")
		}
		return ""
	}}.Dirs()
	loaded := source.Load(dirs, false)
	loaded.Report = append(faults, loaded.Report...)
	return loaded
}

// beside reads the unit files that named single files may refer to: the rest of their directories,
// and the whole search path when they are in it.
func beside(paths []string, named source.Loaded, search source.Search) []quadlet.Input {
	seen := map[string]bool{}
	for _, in := range named.Units {
		seen[in.Base] = true
	}
	var out []quadlet.Input
	add := func(units []quadlet.Input) {
		for _, in := range units {
			if !seen[in.Base] {
				seen[in.Base] = true
				out = append(out, in)
			}
		}
	}
	for _, path := range paths {
		if st, err := os.Stat(path); err != nil || st.IsDir() {
			continue
		}
		dir, err := filepath.Abs(filepath.Dir(path))
		if err != nil || seen[dir] {
			continue
		}
		seen[dir] = true
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			dir = real
		}
		if dirs, _ := search.Dirs(); slices.ContainsFunc(dirs, func(d source.Dir) bool { return d.Path == dir }) {
			add(source.Load(dirs, false).Units)
		}
		entries, _ := os.ReadDir(dir)
		var files []string
		for _, entry := range entries {
			name := entry.Name()
			if ext := filepath.Ext(name); ext == ".quadlets" || keys.ByExt(ext) != nil && !seen[name] {
				files = append(files, filepath.Join(dir, name))
			}
		}
		add(source.LoadFiles(files).Units)
	}
	return out
}

// about leaves out what a report says of units that nobody named.
func about(named source.Loaded, others []quadlet.Input, list report.List) report.List {
	if len(others) == 0 {
		return list
	}
	units, files := map[string]bool{}, map[string]bool{}
	for _, in := range named.Units {
		units[in.Base] = true
		in.File.EachSource(func(path string) string { files[path] = true; return path })
	}
	return slices.DeleteFunc(list, func(d report.Diagnostic) bool {
		// Dedup tells what several units share once, and perhaps under the name of another one.
		return d.Unit != "" && !units[d.Unit] && !(d.Also > 0 && files[d.Pos.File])
	})
}

// shortPaths writes places as the user wrote the path, when that was a relative one: editors and
// code scanning expect it.
func shortPaths(l source.Loaded, paths []string) source.Loaded {
	if slices.ContainsFunc(paths, filepath.IsAbs) {
		return l
	}
	wd, err := os.Getwd()
	if err != nil {
		return l
	}
	if real, err := filepath.EvalSymlinks(wd); err == nil {
		wd = real
	}
	for i := range l.Units {
		short(&l.Units[i], wd)
	}
	for i := range l.Report {
		l.Report[i].Pos.File = relative(l.Report[i].Pos.File, wd)
	}
	return l
}

func short(in *quadlet.Input, wd string) {
	if in.Base == "" {
		in.Base = filepath.Base(in.Path)
	}
	in.Path = relative(in.Path, wd)
	in.File.EachSource(func(path string) string { return relative(path, wd) })
	for i := range in.Faults {
		in.Faults[i].Pos.File = relative(in.Faults[i].Pos.File, wd)
	}
}

// relative is path from wd on when it lies below; else it stays as it is.
func relative(path, wd string) string {
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsAbs(path) && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
