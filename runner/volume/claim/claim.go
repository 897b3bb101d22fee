// SPDX-License-Identifier: Apache-2.0

// Package claim tells which systemd units name a volume on their command lines.
//
// A container of a unit does not exist between its stop and its next start. Its volumes are
// in use all the same: the unit names them. All units are asked, running or not, generated,
// transient or written by hand, by reading their files: those are there without a manager,
// and also of units which no manager has loaded. Where a file leaves open what it means (a
// template's %i, a variable that is set elsewhere), every volume that it may mean is claimed. Of a
// file that the user may not read, the manager tells what is executed; where it does not, the
// unit claims every volume.
package claim

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/store"
	"golang.org/x/sys/unix"
)

// Where says whose units count.
type Where struct {
	Root   string // put before /etc, /run and /usr; tests set it
	UID    int    // of the user on the host; 0 counts the system's own units, too
	Name   string // login name, for User= of system units; "" if unknown
	Config string // the user's configuration directory, as ~/.config
	Data   string // the user's data directory, as ~/.local/share

	// Ask asks the system's manager about a service whose file this user may not read: User= of it,
	// and what it executes, word by word. Without it such a service claims every volume.
	Ask func(unit string) (user string, commands [][]string, err error)
}

// Units is what the units of a machine claim.
type Units struct {
	all    []entry
	unread map[string]bool // units of whose files one cannot be read
}

type entry struct {
	unit    string
	volumes *regexp.Regexp // nil: nobody tells, it may be any
}

// made reports whether a volume has the name of one that nobody has given one: no unit names it.
func made(volume string) bool { return store.IsID(volume) }

// Of lists the units that name a volume, or that may, sorted.
func (u Units) Of(volume string) []string {
	var names []string
	for _, e := range u.all {
		if e.volumes == nil && !made(volume) {
			names = append(names, e.unit+" (which cannot be read)")
		} else if e.volumes != nil && e.volumes.MatchString(volume) {
			names = append(names, e.unit)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Unknown lists the units of which nobody tells what they name, and directories of such.
func (u Units) Unknown() []string {
	var names []string
	for _, e := range u.all {
		if e.volumes == nil {
			names = append(names, e.unit)
		}
	}
	return names
}

// own are the directories of the user's manager, system those of the system's. Source:
// systemd.unit(5), unit file load path.
func (w Where) own() []string {
	run := filepath.Join(w.Root, "/run/user", strconv.Itoa(w.UID), "systemd")
	dirs := below(run, "user.control", "transient", "generator.early", "user", "generator", "generator.late")
	if w.Config != "" {
		dirs = append(dirs, below(filepath.Join(w.Config, "systemd"), "user.control", "user")...)
	}
	if w.Data != "" {
		dirs = append(dirs, filepath.Join(w.Data, "systemd", "user"))
	}
	return append(dirs, below(w.Root, "/etc/systemd/user", "/run/systemd/user", "/usr/local/share/systemd/user",
		"/usr/share/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user")...)
}

func (w Where) system() []string {
	return below(w.Root, "/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient",
		"/run/systemd/generator.early", "/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator",
		"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/run/systemd/generator.late")
}

func below(dir string, names ...string) []string {
	for i, name := range names {
		names[i] = filepath.Join(dir, name)
	}
	return names
}

// Read reads the units. A file that is gone by now is left out.
func (w Where) Read() (Units, error) {
	u := Units{unread: map[string]bool{}}
	var errs []error
	for _, dir := range w.own() {
		errs = append(errs, u.read(dir, func(*unitfile.File) bool { return true }))
	}
	for _, dir := range w.system() {
		errs = append(errs, u.read(dir, w.runs))
	}
	for _, unit := range slices.Sorted(maps.Keys(u.unread)) {
		u.all = append(u.all, w.ask(unit)...)
	}
	return u, errors.Join(errs...)
}

// ask is what a unit claims whose file cannot be read.
func (w Where) ask(unit string) []entry {
	if w.Ask == nil {
		return []entry{{unit, nil}}
	}
	user, commands, err := w.Ask(unit)
	if err != nil {
		return []entry{{unit, nil}}
	}
	if !w.as(user) {
		return nil
	}
	var list []entry
	for _, words := range commands {
		for _, name := range named(words) {
			if re := pattern(name, unit, nil); re != nil {
				list = append(list, entry{unit, re})
			}
		}
	}
	return list
}

// runs reports whether a unit of the system's runs as the user. A drop-in does not say.
func (w Where) runs(f *unitfile.File) bool {
	user := ""
	if line := f.Group("Service").Last("User"); line != nil {
		user = strings.TrimSpace(line.Value)
	}
	if user == "" && strings.HasSuffix(filepath.Dir(f.Source.Path), ".service.d") {
		return true
	}
	return w.as(user)
}

// as reports whether User= of a unit of the system's is the user.
func (w Where) as(user string) bool {
	if user == "" || user == "root" || user == "0" {
		return w.UID == 0
	}
	return user == w.Name || user == strconv.Itoa(w.UID) || strings.Contains(user, "%")
}

// read reads the services of one directory, and their drop-ins.
func (u *Units) read(dir string, counts func(*unitfile.File) bool) error {
	entries, err := os.ReadDir(dir)
	switch {
	case gone(err):
		return nil
	case errors.Is(err, fs.ErrPermission):
		u.all = append(u.all, entry{dir, nil})
		return nil
	case err != nil:
		return err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if unit, ok := strings.CutSuffix(e.Name(), ".d"); ok && filepath.Ext(unit) == ".service" {
			drops, err := os.ReadDir(path)
			if errors.Is(err, fs.ErrPermission) {
				u.unread[unit] = true
			}
			for _, drop := range drops {
				if filepath.Ext(drop.Name()) == ".conf" {
					errs = append(errs, u.add(unit, filepath.Join(path, drop.Name()), counts))
				}
			}
		} else if filepath.Ext(e.Name()) == ".service" {
			errs = append(errs, u.add(e.Name(), path, counts))
		}
	}
	return errors.Join(errs...)
}

// gone tells whether nothing is where a name leads: it may be a link to itself, or past a file.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR)
}

func (u *Units) add(unit, path string, counts func(*unitfile.File) bool) error {
	text, err := safe.ReadLinked(path, unitfile.MaxSize)
	switch {
	case gone(err), errors.Is(err, safe.ErrNotRegular), errors.Is(err, safe.ErrTooLarge):
		return nil // gone by now, masked, or nothing that the manager would read
	case errors.Is(err, fs.ErrPermission):
		u.unread[unit] = true
		return nil
	case err != nil:
		return err
	}
	f, _ := unitfile.Parse(path, text) // the manager goes on past a fault, too
	service := f.Group("Service")
	if service == nil || !counts(f) {
		return nil
	}
	variables := environment(service)
	for _, line := range service.Lines {
		if !strings.HasPrefix(line.Key, "Exec") {
			continue
		}
		words, err := unitfile.SplitArgs(line.Value)
		if err != nil {
			continue // the manager takes no notice of it
		}
		for _, name := range named(unitfile.Texts(words)) {
			if re := pattern(name, unit, variables); re != nil {
				u.all = append(u.all, entry{unit, re})
			}
		}
	}
	return nil
}

// environment reads Environment= of a unit.
func environment(service *unitfile.Group) map[string]string {
	variables := map[string]string{}
	for _, line := range service.All("Environment") {
		words, err := unitfile.SplitArgs(line.Value)
		if err != nil {
			continue
		}
		for _, w := range words {
			if k, v, ok := strings.Cut(w.Text, "="); ok {
				variables[k] = v
			}
		}
	}
	return variables
}
