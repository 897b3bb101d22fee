// SPDX-License-Identifier: Apache-2.0

package strace

import (
	"path/filepath"
	"regexp"
	"strings"
)

// kernels are directories of which the kernel says what is in them, or root alone.
var kernels = regexp.MustCompile(`^/(proc|sys|dev)(/|$)`)

// kernel tells whether dir is one of them. Two below /dev are for everybody.
func kernel(dir string) bool {
	return kernels.MatchString(dir) && !strings.HasPrefix(dir, "/dev/shm") && !strings.HasPrefix(dir, "/dev/mqueue")
}

// ofProcess leads into the root directory, or the working directory, of some process.
var ofProcess = regexp.MustCompile(`^/proc/([0-9]+|self|thread-self)/(root|cwd|task/[0-9]+/(root|cwd)|fd/[0-9]+)/`)

// Directories are all that names have been looked up in, for who judges them.
func (a Access) Directories() []string {
	var list []string
	for _, s := range a.steps() {
		list = append(list, s.dir)
	}
	return list
}

// A step is one name that the kernel looks up in one directory.
type step struct {
	dir, name string
	last      bool
}

// steps to what the access names. What it was relative to is there already, and not looked up.
func (a Access) steps() []step {
	if a.Confined {
		return nil
	}
	dir, rest := "/", filepath.Clean(a.Name)
	if !filepath.IsAbs(rest) {
		dir = a.Base
	}
	var list []step
	names := strings.Split(strings.Trim(rest, "/"), "/")
	for i, name := range names {
		if name == "" || name == "." {
			continue
		}
		list = append(list, step{dir, name, i == len(names)-1})
		dir = filepath.Join(dir, name)
	}
	return list
}

// Judge says what is wrong with an access, or nothing. stranger says whether somebody else than who
// runs the program can put something else into a directory, and who.
func (a Access) Judge(stranger func(dir string) string) string {
	full := a.Name
	if a.Below {
		full = filepath.Join(a.Base, a.Name)
	}
	if ofProcess.MatchString(full) && !a.Confined {
		return "it leads through the root directory or a descriptor of a process"
	}
	if !filepath.IsAbs(full) && !a.Confined {
		return "relative to what strace does not show"
	}
	for _, s := range a.steps() {
		if kernel(s.dir) {
			continue
		}
		who := stranger(s.dir)
		if who == "" {
			continue
		}
		// The directory is one that the program holds, and its own entry is meant.
		if a.Below && s.dir == a.Base && s.last && !a.Follows {
			continue
		}
		return s.name + " is looked up in " + s.dir + ", where " + who + " can put something else"
	}
	// What /proc/self/fd has is a descriptor, too: the program was there before.
	if a.Real != "" && !a.Below && a.Follows && !a.Confined && !strings.HasPrefix(a.Name, "/proc/") {
		real := Access{Name: a.Real}
		for _, s := range real.steps() {
			if who := stranger(s.dir); who != "" && !kernel(s.dir) {
				return "it leads to " + a.Real + ", where " + who + " can put something else"
			}
		}
	}
	return ""
}
