// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/generator/source"
)

// Place is where a unit file goes once it has been edited.
type Place struct {
	Dir  string // where the file is found; relative paths in it start there
	Path string // what is written: the file in Dir, or what that is a link to

	like    fs.FileInfo // whose mode it gets; nil for 0644
	replace bool        // the file is there already
}

// Place tells where an edited unit file goes. One below the install directory stays where it is.
// Any other one is copied to the install directory, where the copy hides it; when it would not, the
// error is a HiddenError. A unit file that is new has an Entry with nothing but a name.
func (s Store) Place(e Entry) (Place, error) {
	p := Place{Dir: s.Dir, Path: filepath.Join(s.Dir, e.Name)}
	if e.Path == "" {
		return p, nil
	}
	if e.text != nil {
		return p, hinted{fmt.Errorf("%s is a section of %s", e.Name, e.Path), "edit that file"}
	}
	target, err := filepath.EvalSymlinks(e.Path)
	if err != nil {
		return p, err
	}
	st, err := os.Stat(target)
	if err != nil {
		return p, err
	}
	dir := filepath.Dir(e.Path)
	if s.own(dir) {
		if !st.Mode().IsRegular() {
			return p, hinted{fmt.Errorf("%s is a link to %s, which is no file to edit", e.Path, target), "remove the link first: rm " + e.Path}
		}
		return Place{Dir: dir, Path: target, like: st, replace: true}, nil
	}
	if st.Mode().IsRegular() {
		p.like = st
	}
	if dirs, _ := s.Search.Dirs(); !counts(dirs, real(s.Dir), dir) {
		return p, HiddenError{Name: e.Name, By: e.Path, Dir: s.Dir}
	}
	return p, nil
}

// own tells whether a directory is the install directory, or found below it.
func (s Store) own(dir string) bool {
	// A search of that directory alone also follows the links in it.
	below, _ := source.Search{Getenv: func(name string) string {
		if name == "QUADLET_UNIT_DIRS" {
			return s.Dir
		}
		return ""
	}}.Dirs()
	return slices.ContainsFunc(below, func(d source.Dir) bool { return d.Path == dir })
}

// counts tells whether unit files in one directory of the search path count more than those in
// another. A directory that is not searched counts nothing.
func counts(dirs []source.Dir, one, other string) bool {
	for _, d := range dirs {
		switch d.Path {
		case one:
			return true
		case other:
			return false
		}
	}
	return false
}

// HiddenError says that a unit file in the install directory would have no effect.
type HiddenError struct {
	Name string // of the unit file
	By   string // the file that counts
	Dir  string // the install directory
}

func (e HiddenError) Error() string {
	return fmt.Sprintf("%s in %s would be hidden by %s", e.Name, e.Dir, e.By)
}

// Hint is the way out.
func (e HiddenError) Hint() string { return "edit that file, or remove it" }

// hinted is an error with a way out.
type hinted struct {
	error
	hint string
}

func (e hinted) Unwrap() error { return e.error }

// Hint is the way out.
func (e hinted) Hint() string { return e.hint }

// Put writes the text of one unit file to its place. A file that is replaced keeps its mode, and
// when root writes it its owner.
func (s Store) Put(ctx context.Context, p Place, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(p.Path), 0o755); err != nil {
		return err
	}
	return withLock(ctx, filepath.Dir(p.Path), func() error { return writeFile(p.Path, data, p.like, p.replace) })
}
