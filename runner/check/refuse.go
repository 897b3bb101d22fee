// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/podunit/podunit/generator/convert"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/unitfile"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/spec"
)

// refused reports what the runner would refuse when the unit starts, each at the word of the unit
// file that the argument comes from.
func (c *checker) refused(u *quadlet.Unit, s convert.Service) {
	j := c.judge(u)
	for _, cmd := range s.Commands {
		words := make([]string, len(cmd.Words)-1) // without the program
		for i, w := range cmd.Words[1:] {
			words[i] = w.Text
			if text, ok := c.expand(u, w.Text); ok {
				words[i] = text
			}
		}
		for _, r := range j.command(words, cmd.Verb-1) {
			w := origin(cmd, r.words)
			switch {
			case w.Line != nil:
				c.refusal(u, w, r)
			case s.Text == nil:
				// The unit lacks something, and the generator has told that.
			case len(r.words) > 0 && strings.HasPrefix(r.value, c.resource(u)):
				// The name comes from the file's; names has told that.
			default:
				c.whole(u, severity(r), "refused", r.message, r.hint)
			}
		}
	}
}

// judge is the runner's judgement of the commands of a unit.
func (c *checker) judge(u *quadlet.Unit) judge {
	_, other := serviceUser(u, c.Convert)
	j := judge{verbs: c.Verbs, rootless: c.Convert.User || other, files: spec.Host{Dir: "/", ReadFile: c.variables}}
	if c.Host.Limits != nil {
		j.limits = c.Host.Limits()
		for name := range j.limits {
			if _, own := u.ServiceKey("Limit" + strings.ToUpper(name)); own {
				delete(j.limits, name) // systemd sets it before the runner begins
			}
		}
	}
	return j
}

// variables reads a file of variables or labels. That one is missing is told with the other missing
// files.
func (c *checker) variables(path string) ([]byte, error) {
	if c.Host.ReadFile == nil {
		return nil, nil
	}
	data, err := c.Host.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return data, err
}

// origin is the first of the words that comes from a file.
func origin(cmd convert.Command, words []int) quadlet.WordOf {
	for _, i := range words {
		if w := cmd.Words[1+i]; w.Line != nil {
			return w
		}
	}
	return quadlet.WordOf{}
}

func severity(r refusal) report.Severity {
	if r.here {
		return report.Warning
	}
	return report.Error
}

// refusal reports one refusal at a word of a unit file, unless something is said about that place
// already.
func (c *checker) refusal(u *quadlet.Unit, w quadlet.WordOf, r refusal) {
	pos := w.Line.ValuePos(w.Off)
	if w.Line.Value == "" {
		pos = w.Line.Pos()
	}
	for _, d := range c.more {
		if d.Pos == pos && (d.Severity == report.Error || strings.HasSuffix(d.Message, r.message)) {
			return
		}
	}
	written := w.Line.Value[w.Off:w.End]
	if words, err := unitfile.SplitArgs(written); err == nil && len(words) == 1 {
		written = words[0].Text
	}
	c.add(severity(r), u, w.Line, w.Off, w.End-w.Off, "refused", w.Line.Key+"="+written+" is refused by the runner: "+r.message, r.hint)
}

// whole reports about a unit as a whole; it points at the section of its type, or at the file.
func (c *checker) whole(u *quadlet.Unit, s report.Severity, code, message, hint string) {
	if c.said[u]++; c.said[u] > maxSaid {
		return
	}
	d := report.Diagnostic{Severity: s, Code: code, Unit: u.Base, Pos: u.Group.Pos(), Width: len(u.Type.Name) + 2, Excerpt: u.Group.Excerpt(), Message: message, Hint: hint}
	if d.Pos.File == "" {
		d.Pos, d.Width = report.Position{File: u.Path, Line: 1, Col: 1}, 0
		if s := u.File.Source; s != nil {
			d.Pos.Line += s.Skip
		}
	}
	c.more = append(c.more, d)
}

// Limits is the type of Host.Limits: hard and soft resource limits by their short names, as nofile.
type Limits = map[string]bundle.Rlimit
