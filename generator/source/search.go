// SPDX-License-Identifier: Apache-2.0

// Package source finds and reads unit files: the search path, subdirectories, drop-ins, and
// .quadlets files that hold several units. It is one of the two packages of the generator that
// touch the disk; it only reads.
package source

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/report"
)

// Search says where to look.
type Search struct {
	User   bool
	UID    int // numeric id of the user; negative when it is not known
	Getenv func(string) string
	// Root is put before /run, /etc and /usr; tests set it.
	Root string
}

// Dir is a directory of the flattened search path.
type Dir struct {
	Path    string // resolved through symlinks when it exists
	entries []fs.DirEntry
}

// maxDirs bounds the walk: somebody may link / into a search directory.
const maxDirs = 4096

// walker flattens directory trees, each directory once.
type walker struct {
	dirs   []Dir
	seen   map[string]bool
	report report.List
	full   bool
}

// Dirs returns the search path, highest precedence first, subdirectories included, and what was
// wrong with it.
func (s Search) Dirs() ([]Dir, report.List) {
	w := &walker{seen: map[string]bool{}}
	if list := s.Getenv("QUADLET_UNIT_DIRS"); list != "" {
		for i, dir := range strings.Split(list, ":") {
			if !filepath.IsAbs(dir) {
				// Those after it are dropped as well: existing setups may rely on it.
				w.warn("search-path", "entry "+strconv.Itoa(i+1)+" of QUADLET_UNIT_DIRS, "+strconv.Quote(dir)+
					", is not a valid file path: it is not absolute", "it and all entries after it are left out")
				break
			}
			w.walk(dir, nil)
		}
		return w.dirs, w.report
	}
	if !s.User {
		w.walk(s.Root+"/run/containers/systemd", nil)
		for _, base := range []string{s.Root + "/etc/containers/systemd", s.Root + "/usr/share/containers/systemd"} {
			users := resolve(base + "/users")
			w.walk(base, func(path string) bool { return path != users })
		}
		return w.dirs, w.report
	}
	if dir := s.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		w.walk(filepath.Join(dir, "containers/systemd"), nil)
	}
	if config, problem := s.configHome(); problem != "" {
		w.warn("search-path", problem, "files of the user are not read")
	} else {
		w.walk(filepath.Join(config, "containers/systemd"), nil)
	}
	for _, base := range []string{s.Root + "/etc/containers/systemd/users", s.Root + "/usr/share/containers/systemd/users"} {
		if s.UID < 0 {
			w.add(base)
			continue
		}
		real := resolve(base)
		// Only the numeric directories directly below are somebody's own.
		w.walk(base, func(path string) bool {
			return filepath.Dir(path) != real || strings.Trim(filepath.Base(path), "0123456789") != ""
		})
		w.walk(filepath.Join(base, strconv.Itoa(s.UID)), nil)
	}
	if s.UID < 0 {
		w.warn("search-path", "the current user is not known", "directories of single users are not read")
	}
	return w.dirs, w.report
}

// configHome is where the user's own files are, or what keeps it from being known.
func (s Search) configHome() (dir, problem string) {
	if dir = s.Getenv("XDG_CONFIG_HOME"); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", "XDG_CONFIG_HOME is not an absolute path: " + dir
		}
		return dir, ""
	}
	if dir = s.Getenv("HOME"); dir == "" {
		return "", "neither XDG_CONFIG_HOME nor HOME is set"
	}
	return filepath.Join(dir, ".config"), ""
}

// InstallDir is where the user's own unit files are kept: root's in /etc.
func (s Search) InstallDir() (string, error) {
	if !s.User {
		return s.Root + "/etc/containers/systemd", nil
	}
	dir, problem := s.configHome()
	if problem != "" {
		return "", &fs.PathError{Op: "find", Path: "configuration directory", Err: errString(problem)}
	}
	return filepath.Join(dir, "containers/systemd"), nil
}

type errString string

func (e errString) Error() string { return string(e) }

func (w *walker) warn(code, message, hint string) {
	w.report = append(w.report, report.Diagnostic{Severity: report.Warning, Code: code, Message: message, Hint: hint})
}

// resolve follows symlinks; a path that cannot be resolved stays as it is.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// walk adds a directory and those below it, depth first in the order of names. A directory for
// which keep is false, and all below it, is left out; so are drop-in directories.
func (w *walker) walk(path string, keep func(string) bool) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		if !os.IsNotExist(err) {
			w.unreadable(path, err)
		}
		real = path
	}
	if strings.HasSuffix(real, ".d") || w.seen[real] || keep != nil && !keep(real) {
		return
	}
	if len(w.dirs) >= maxDirs {
		if !w.full {
			w.full = true
			w.report = append(w.report, report.Diagnostic{
				Code: "search-path", Pos: report.Position{File: path},
				Message: "more than " + strconv.Itoa(maxDirs) + " directories in the search path, the rest is not read",
				Hint:    "look for a symlink that leads out of the search directories",
			})
		}
		return
	}
	dir := w.add(real)
	if err != nil {
		return
	}
	if dir == nil {
		return
	}
	for _, e := range dir.entries {
		if e.Type()&fs.ModeSymlink == 0 && !e.IsDir() {
			continue
		}
		full := filepath.Join(real, e.Name())
		if e.Type()&fs.ModeSymlink != 0 {
			if st, err := os.Stat(full); err != nil || !st.IsDir() {
				continue
			}
		}
		w.walk(full, keep)
	}
}

// add reads one directory into the list.
func (w *walker) add(path string) *Dir {
	w.seen[path] = true
	entries, err := os.ReadDir(path)
	if err != nil && !os.IsNotExist(err) {
		w.unreadable(path, err)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	w.dirs = append(w.dirs, Dir{path, entries})
	return &Dir{path, entries}
}

func (w *walker) unreadable(path string, err error) {
	var p *fs.PathError
	text := err.Error()
	if asPathError(err, &p) {
		text = p.Err.Error()
	}
	w.report = append(w.report, report.Diagnostic{
		Code: "search-path", Pos: report.Position{File: path}, Message: "search directory cannot be read: " + text,
	})
}
