// SPDX-License-Identifier: Apache-2.0

// Package check finds faults that the generator does not look for: values that the runner will
// refuse, things that are missing on this machine, and units that get in each other's way. It
// begins with the generator's own report, and judges values with the runner's own grammar, so it
// never contradicts either. It asks about the machine through Host, which tests replace.
package check

import (
	"strings"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/link"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/spelling"
	"github.com/podunit/podunit/generator/unitfile"
)

// Host answers questions about the machine. A nil function or an empty name leaves out the checks
// that need it.
type Host struct {
	Exists   func(path string) bool
	ReadFile func(path string) ([]byte, error)
	// Matches tells whether a file fits a pattern of filepath.Match.
	Matches func(pattern string) bool
	// Secret tells whether whoever runs the units has a secret of a name or an ID, or that nobody
	// can say.
	Secret func(nameOrID string) bool
	// UserHome is the home of an account; ok is false when there is no such account.
	UserHome func(name string) (home string, ok bool)
	// SubIDs tells whether /etc/subuid (or /etc/subgid, with group) has a range for a name.
	SubIDs func(name string, group bool) bool
	// AutoUser is the name whose ranges root's containers with UserNS=auto get.
	AutoUser func() string
	// Linger tells whether systemd keeps the services of a user running without a login.
	Linger func(name string) bool
	// Limits gives the resource limits that the runner will have in a unit that sets none.
	Limits func() Limits
	// LowPort is the first port that anybody may bind; zero when it is unknown.
	LowPort int
	// Systemd is the version of systemd; zero when it is unknown.
	Systemd func() int

	User       string // who runs the units of a user run
	Home       string // of that user, for %h
	RuntimeDir string // for %t
}

// Options are what a check depends on.
type Options struct {
	Convert convert.Options
	Host    Host
	// Kube checks the content of a Kubernetes YAML file; nil leaves it unread. Package kube has one.
	Kube func(path string, data []byte) report.List
	// Verbs finds the runner's verbs; with nil only containers and pods are judged by the runner's
	// grammar.
	Verbs Verbs
}

// checker carries one run.
type checker struct {
	Options
	set      *link.Set
	services []convert.Service
	more     report.List
	said     map[*quadlet.Unit]int // of each unit
}

// maxSaid is how many findings about its values are kept of one unit.
const maxSaid = 200

// Check reports on unit files: what the generator says about them, then values, then how they fit
// together and on the machine. The list is sorted, and says a thing once however many units it
// concerns.
func Check(files []quadlet.Input, opt Options) report.List {
	if opt.Convert.Exists == nil {
		opt.Convert.Exists = opt.Host.Exists
	}
	c := &checker{Options: opt, said: map[*quadlet.Unit]int{}}
	c.set, c.services = convert.Convert(files, opt.Convert)
	var all report.List
	for _, u := range c.set.Units {
		if !u.Broken {
			c.values(u)
			c.quadletSection(u)
			c.systemd(u)
			c.environment(u)
			c.install(u)
		}
	}
	c.together()
	for i, u := range c.set.Units {
		if !u.Broken {
			c.refused(u, c.services[i])
		}
	}
	for _, u := range c.set.Units {
		all = append(all, u.Report...)
	}
	all = append(all, c.more...)
	all.Sort()
	return all.Dedup()
}

// add reports about byte off to off+width of a line's value.
func (c *checker) add(s report.Severity, u *quadlet.Unit, l *unitfile.Line, off, width int, code, message, hint string) {
	if c.said[u]++; c.said[u] > maxSaid {
		return
	}
	pos := l.ValuePos(off)
	if l.Value == "" {
		pos, width = l.Pos(), len(l.Key)
	}
	for _, d := range u.Report {
		if d.Pos == pos && d.Severity == report.Error {
			return // the generator has said more about this place already
		}
	}
	c.more = append(c.more, report.Diagnostic{
		Severity: s, Code: code, Unit: u.Base, Pos: pos, Width: width, Excerpt: l.Excerpt(pos), Message: message, Hint: hint,
	})
}

func (c *checker) fault(u *quadlet.Unit, l *unitfile.Line, code, message, hint string) {
	c.add(report.Error, u, l, 0, len(l.Value), code, message, hint)
}

func (c *checker) warn(u *quadlet.Unit, l *unitfile.Line, code, message, hint string) {
	c.add(report.Warning, u, l, 0, len(l.Value), code, message, hint)
}

// value is one value of a key, as its kind splits it.
type value struct {
	text string
	line *unitfile.Line
	off  int
	wide int
}

// each splits the assignments to a key into its values.
func each(u *quadlet.Unit, k *keys.Key) []value {
	var out []value
	words := func(list []quadlet.WordOf) {
		for _, w := range list {
			out = append(out, value{w.Text, w.Line, w.Off, w.End - w.Off})
		}
	}
	switch k.Kind {
	case keys.List:
		for _, l := range u.Lines(k.Name) {
			out = append(out, value{l.Value, l, 0, len(l.Value)})
		}
	case keys.Words:
		words(u.Words(k.Name))
	case keys.Args, keys.Env:
		words(u.Args(k.Name))
	default:
		if l := u.Last(k.Name); l != nil {
			v, _ := u.StrOK(k.Name)
			out = append(out, value{v, l, 0, len(l.Value)})
		}
	}
	return out
}

// open tells a value that only systemd knows, as it has specifiers or variables to expand.
func open(v string) bool { return strings.ContainsAny(v, "%$") }

// values checks each value of a unit against the form that its key has.
func (c *checker) values(u *quadlet.Unit) {
	for i := range u.Type.Keys {
		k := &u.Type.Keys[i]
		if u.Last(k.Name) == nil {
			continue
		}
		for _, v := range each(u, k) {
			say := func(s report.Severity, message, hint string) {
				if message != "" {
					c.add(s, u, v.line, v.off, v.wide, "value", k.Name+"="+v.text+" "+message, hint)
				}
			}
			if v.text == "" && k.Kind != keys.Bool && k.Kind != keys.Switch {
				continue
			}
			c.enumerated(u, k, v, say)
			if open(v.text) {
				c.paths(u, k, v)
				continue
			}
			message, hint := form(k, v.text)
			say(report.Error, message, hint)
			c.paths(u, k, v)
		}
		if k.Deprecated != "" {
			l := u.Last(k.Name)
			pos := l.Pos()
			c.more = append(c.more, report.Diagnostic{
				Severity: report.Warning, Code: "deprecated", Unit: u.Base, Pos: pos, Width: len(l.Key), Excerpt: l.Excerpt(pos),
				Message: k.Name + "= is deprecated", Hint: "use " + k.Deprecated,
			})
		}
	}
}

// quadletSection checks [Quadlet]. The generator reads every value there that is not true as false,
// and then leaves out the order after the network.
func (c *checker) quadletSection(u *quadlet.Unit) {
	l := u.File.Group("Quadlet").Last("DefaultDependencies")
	if l == nil {
		return
	}
	c.enumerated(u, keys.Lookup("Quadlet").Key(l.Key), value{unquoted(l.Value), l, 0, len(l.Value)}, func(s report.Severity, message, hint string) {
		c.add(s, u, l, 0, len(l.Value), "value", l.Key+"="+l.Value+" "+message, hint)
	})
}

// enumerated checks keys whose values can be listed, and booleans.
func (c *checker) enumerated(u *quadlet.Unit, k *keys.Key, v value, say func(report.Severity, string, string)) {
	if k.Kind == keys.Bool || k.Kind == keys.Switch {
		switch strings.ToLower(v.text) {
		case "1", "yes", "true", "on", "0", "no", "false", "off":
		case "":
			say(report.Warning, "is read as false", "write "+k.Name+"=false")
		default:
			say(report.Warning, "is read as false", "write true or false")
		}
		return
	}
	if len(k.Values) == 0 || open(v.text) {
		return
	}
	for _, known := range k.Values {
		if v.text == known || anyCase(k.Name) && strings.EqualFold(v.text, known) {
			return
		}
	}
	switch {
	case k.Name == "AutoUpdate" && v.text == "image": // an old name of registry
		return
	case k.Name == "Pull" && u.Type.Name == "Build" && (v.text == "true" || v.text == "false"): // as for buildah
		return
	}
	if k.Name == "Notify" && (quadlet.Truth(v.text) || v.text == "no" || v.text == "0" || v.text == "off") {
		return
	}
	hint := "known are " + strings.Join(k.Values, ", ")
	if near := spelling.Nearest(v.text, k.Values); near != "" {
		hint = "did you mean " + near + "? Known are " + strings.Join(k.Values, ", ")
	}
	severity := report.Error
	switch k.Name {
	case "Driver", "LogDriver", "IPAMDriver", "Notify":
		severity = report.Warning // plugins may add some, and Notify= reads the unknown as false
	}
	say(severity, "is not a known value", hint)
}

// anyCase tells the keys whose values the runner compares without regard to case.
func anyCase(key string) bool {
	return key == "Notify" || key == "SetWorkingDirectory" || key == "Pull" || key == "Policy"
}
