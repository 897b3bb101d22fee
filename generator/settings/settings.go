// SPDX-License-Identifier: Apache-2.0

// Package settings reads podunit.conf, podunit's own settings, with drop-ins in the manner of
// journald.conf(5).
package settings

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"gopkg.in/ini.v1"
)

// Generator values: what to do when Podman's own generator is installed too.
const (
	Yield = "yield" // write nothing, the default
	Force = "force" // write units all the same
)

// Settings are what podunit.conf can say.
type Settings struct {
	Generator string // [Generator] Generator=, Yield or Force
}

// Where says which files count.
type Where struct {
	Root   string // put before /etc, /run and /usr; tests set it
	Config string // the user's configuration directory, as ~/.config; empty for none
}

// Files lists the files that count, those read first first: the most important main file of the
// system, the user's, then the drop-ins of all directories in the order of their names. Of drop-ins
// with one name the most important counts, and one that is a link to /dev/null hides the others.
func (w Where) Files() []string {
	dirs := []string{w.Root + "/usr/lib/podunit", w.Root + "/run/podunit", w.Root + "/etc/podunit"}
	var files []string
	for i := len(dirs) - 1; i >= 0; i-- {
		if path := dirs[i] + "/podunit.conf"; exists(path) {
			files = append(files, path)
			break
		}
	}
	if w.Config != "" {
		own := filepath.Join(w.Config, "podunit")
		dirs = append(dirs, own)
		if path := own + "/podunit.conf"; exists(path) {
			files = append(files, path)
		}
	}
	drops := map[string]string{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir + "/podunit.conf.d")
		if err != nil {
			continue
		}
		for _, e := range entries {
			if filepath.Ext(e.Name()) == ".conf" {
				drops[e.Name()] = dir + "/podunit.conf.d/" + e.Name()
			}
		}
	}
	names := make([]string, 0, len(drops))
	for name := range drops {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		files = append(files, drops[name])
	}
	return files
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Read reads the settings. A file that cannot be read or has a bad value is left out and told about.
func (w Where) Read() (Settings, []error) {
	s := Settings{Generator: Yield}
	var errs []error
	for _, path := range w.Files() {
		if Hides(path) {
			continue
		}
		text, err := ReadFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f, err := ini.LoadSources(ini.LoadOptions{AllowBooleanKeys: false, SkipUnrecognizableLines: false}, text)
		if err != nil {
			errs = append(errs, &os.PathError{Op: "read", Path: path, Err: err})
			continue
		}
		key := f.Section("Generator").Key("Generator")
		switch v := key.String(); v {
		case "":
		case Yield, Force:
			s.Generator = v
		default:
			errs = append(errs, &os.PathError{Op: "read", Path: path, Err: badValue(v)})
		}
	}
	return s, errs
}

// maxSize is the most bytes that a file of settings may have.
const maxSize = 1 << 20

// Hides tells of a link to /dev/null, which only hides other files of its name.
func Hides(path string) bool {
	target, err := os.Readlink(path)
	return err == nil && target == "/dev/null"
}

// ReadFile reads a regular file of at most 1 MiB. Of a pipe or an endless device the generator
// would hold up the boot: it is looked at before it is opened, and again once it is open. The error
// is a *fs.PathError.
func ReadFile(path string) ([]byte, error) {
	fault := func(err error) ([]byte, error) { return nil, &os.PathError{Op: "read", Path: path, Err: err} }
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return fault(errNotRegular)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return fault(errNotRegular)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(text) > maxSize {
		return fault(errTooLarge)
	}
	return text, err
}

var (
	errNotRegular = errors.New("it is not a regular file")
	errTooLarge   = errors.New("it is larger than 1 MiB")
)

type badValue string

func (b badValue) Error() string { return "Generator=" + string(b) + " is neither yield nor force" }
