// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"path"
	"slices"
	"strings"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/generator/unitfile"
)

// wanted are the keys of [Install] that make links in directories, with the ends of the
// directories' names.
var wanted = [...]struct{ key, dir string }{{"WantedBy", ".wants/"}, {"RequiredBy", ".requires/"}, {"UpheldBy", ".upholds/"}}

// asked is a link together with the word that asks for it.
type asked struct {
	Link
	unit *quadlet.Unit
	word quadlet.WordOf
}

// warn complains about the word.
func (a asked) warn(message, hint string) {
	a.unit.WarnWord(a.word.Line, a.word.Word, "install", a.word.Line.Key+"="+message, hint)
}

// installLinks makes the links that `systemctl enable` would make for the service of that name,
// without .service. Instances tells whether there is a file for an instance of the unit's template.
func installLinks(u *quadlet.Unit, service string, instances bool) []asked {
	install := u.File.Group("Install")
	if install == nil {
		return nil
	}
	if l := install.Last("Also"); l != nil {
		u.WarnKey(l, "install", "Also= has no effect in a generated unit", "each file makes its own links; give the other one an [Install] section")
	}
	unknownInstall(u, install)
	var links []asked
	file := service + ".service"
	seen := map[string]bool{}
	add := func(a asked, path string) {
		if !seen[path] {
			seen[path] = true
			a.Link = Link{path, strings.Repeat("../", strings.Count(path, "/")) + file}
			links = append(links, a)
		}
	}
	for _, w := range u.Install("Alias") {
		a := asked{unit: u, word: w}
		clean := path.Clean(w.Text)
		if path.IsAbs(clean) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
			a.warn(w.Text+" leads out of the directory of the units and is left out", "write the name of a unit")
			continue
		}
		if clean == file {
			continue
		}
		if !strings.HasSuffix(clean, ".service") {
			a.warn(w.Text+" has no effect: an alias of a service ends in .service", "write "+a.word.Line.Key+"="+w.Text+".service")
		} else if strings.ContainsRune(clean, '%') {
			a.warn(w.Text+" is taken as it is, specifiers are not expanded here", "write the name out")
		}
		add(a, clean)
	}
	name := file
	prefix, instance, at := strings.Cut(service, "@")
	l := install.Last("DefaultInstance")
	switch {
	case !at && l != nil:
		u.WarnKey(l, "install", "DefaultInstance= has no effect, "+u.Base+" is no template", "name the file "+u.Stem+"@"+u.Ext+" to make it one")
	case at && instance == "":
		if l != nil {
			instance = strings.Trim(l.Value, `"`)
		}
		if instance == "" {
			if !instances {
				uninstalled(u)
			}
			return links
		}
		name = prefix + "@" + instance + ".service"
		if strings.ContainsRune(name, '/') {
			u.Warn(l, 0, "install", "DefaultInstance="+l.Value+" contains a slash and is left out", "systemd-escape writes a path as an instance")
			return links
		}
	}
	for _, by := range wanted {
		for _, w := range u.Install(by.key) {
			a := asked{unit: u, word: w}
			if strings.ContainsRune(w.Text, '/') || w.Text == "" || len(w.Text) > 240 {
				a.warn(w.Text+" is not the name of a unit and is left out", "write a name alone, as "+by.key+"=default.target")
				continue
			}
			if !specifier.Typed(w.Text) {
				a.warn(w.Text+" has no effect: names of units end in their type", "write "+by.key+"="+w.Text+".target, if that is what is meant")
			} else if strings.ContainsRune(w.Text, '%') {
				a.warn(w.Text+" is taken as it is, specifiers are not expanded here", "write the name out")
			}
			add(a, w.Text+by.dir+name)
		}
	}
	return links
}

// unknownInstall complains about keys of [Install] that nobody reads: a slip there means a unit
// that is not started.
func unknownInstall(u *quadlet.Unit, install *unitfile.Group) {
	known := []string{"WantedBy", "RequiredBy", "UpheldBy", "Alias", "Also", "DefaultInstance"}
	for i := range install.Lines {
		l := &install.Lines[i]
		if l.IsComment() || slices.Contains(known, l.Key) || strings.HasPrefix(l.Key, "X-") {
			continue
		}
		hint := "keys of [Install] are " + strings.Join(known, ", ")
		if near := spelling.Nearest(l.Key, known); near != "" {
			hint = "did you mean " + near + "=?"
		}
		u.WarnKey(l, "unknown-key", "key '"+l.Key+"' in group 'Install' has no effect", hint)
	}
}

// uninstalled says of a template, of which nobody made an instance, that nothing will be started.
func uninstalled(u *quadlet.Unit) {
	for _, by := range wanted {
		if words := u.Install(by.key); len(words) > 0 {
			u.WarnKey(words[0].Line, "install", by.key+"= has no effect in the template "+u.Base+" without DefaultInstance=",
				"set DefaultInstance= in [Install], or make an instance: ln -s "+u.Base+" "+u.Prefix+"@NAME"+u.Ext)
		}
	}
}
