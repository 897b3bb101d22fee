// SPDX-License-Identifier: Apache-2.0

// Package claim tells which systemd units name a volume on their command lines.
//
// A container of a unit does not exist between its stop and its next start. Its volumes are
// in use all the same: the unit names them. All units are asked, running or not, generated,
// transient or written by hand, by reading their files: those are there without a manager,
// and also of units which no manager has loaded. Where a file leaves open what it means (a
// template's %i, a variable that is set elsewhere), every volume that it may mean is claimed.
package claim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/generator/unitfile"
)

// Where says whose units count.
type Where struct {
	Root   string // put before /etc, /run and /usr; tests set it
	UID    int    // of the user on the host; 0 counts the system's own units, too
	Name   string // login name, for User= of system units; "" if unknown
	Config string // the user's configuration directory, as ~/.config
	Data   string // the user's data directory, as ~/.local/share
}

// Units is what the units of a machine claim.
type Units struct{ all []entry }

type entry struct {
	unit    string
	volumes *regexp.Regexp
}

// Of lists the units that name a volume, sorted.
func (u Units) Of(volume string) []string {
	var names []string
	for _, e := range u.all {
		if e.volumes.MatchString(volume) {
			names = append(names, e.unit)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
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

// Read reads the units. A file that is gone by now, or that this user may not read, is
// left out.
func (w Where) Read() (Units, error) {
	var u Units
	var errs []error
	for _, dir := range w.own() {
		errs = append(errs, u.read(dir, func(*unitfile.File) bool { return true }))
	}
	for _, dir := range w.system() {
		errs = append(errs, u.read(dir, w.runs))
	}
	return u, errors.Join(errs...)
}

// runs reports whether a unit of the system's runs as the user. A drop-in does not say.
func (w Where) runs(f *unitfile.File) bool {
	user := ""
	if line := f.Group("Service").Last("User"); line != nil {
		user = strings.TrimSpace(line.Value)
	}
	switch {
	case user == "" && strings.HasSuffix(filepath.Dir(f.Source.Path), ".service.d"):
		return true
	case user == "" || user == "root" || user == "0":
		return w.UID == 0
	}
	return user == w.Name || user == strconv.Itoa(w.UID) || strings.Contains(user, "%")
}

// read reads the services of one directory, and their drop-ins.
func (u *Units) read(dir string, counts func(*unitfile.File) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if unit, ok := strings.CutSuffix(e.Name(), ".d"); ok && filepath.Ext(unit) == ".service" {
			drops, _ := filepath.Glob(filepath.Join(path, "*.conf"))
			for _, drop := range drops {
				errs = append(errs, u.add(unit, drop, counts))
			}
		} else if filepath.Ext(e.Name()) == ".service" {
			errs = append(errs, u.add(e.Name(), path, counts))
		}
	}
	return errors.Join(errs...)
}

func (u *Units) add(unit, path string, counts func(*unitfile.File) bool) error {
	st, err := os.Stat(path)
	if err != nil || !st.Mode().IsRegular() || st.Size() > unitfile.MaxSize {
		return nil //nolint:nilerr // gone by now, masked, or nothing that the manager would read
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
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
