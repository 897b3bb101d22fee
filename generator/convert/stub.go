// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"strings"
	"unicode/utf8"

	"github.com/coreos/go-systemd/v22/unit"

	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/report"
	"github.com/podunit/podunit/generator/specifier"
	"github.com/podunit/podunit/generator/unitfile"
)

// maxStubLines bounds what a failing unit says when it is started; podunit check has the whole
// report.
const maxStubLines = 20

// maxDescription is the length of a description, in bytes; systemctl cuts longer ones at the width
// of the terminal.
const maxDescription = 900

// stub is the unit that stands for files with an error. It has the name that people expect, and
// starting it fails with the report: `systemctl status` shows the place, the message and the hint.
func stub(owners []*quadlet.Unit, opt Options) Unit {
	first := owners[0]
	name := first.Service + ".service"
	if specifier.Problem(name) != "" {
		if name = unit.UnitNameEscape(first.Service) + ".service"; specifier.Problem(name) != "" {
			return Unit{}
		}
	}
	var texts []string
	var hidden uint32 // a message may quote a line
	for _, u := range owners {
		hidden |= u.File.Hidden
		for _, d := range u.Report {
			if d.Severity != report.Error {
				continue
			}
			texts = append(texts, cut(d.Place(), 2000))
			if d.Hint != "" {
				texts = append(texts, cut("hint: "+d.Hint, 2000))
			}
		}
	}
	if len(texts) > maxStubLines {
		texts = append(texts[:maxStubLines], "and more; podunit check lists all")
	}
	about := texts[0]
	if len(texts) > 1 && strings.HasPrefix(texts[1], "hint: ") {
		about += " (" + texts[1] + ")"
	}

	f := &unitfile.File{}
	g := f.Make("Unit")
	about = specifier.Escape(cut(about, maxDescription))
	if strings.HasSuffix(about, `\`) {
		about += "." // or the next line would continue this one
	}
	g.Append("Description", about)
	if plainPath(first.Path) {
		g.Append("SourcePath", specifier.Escape(first.Path))
	}
	g = f.Make("Service")
	g.Append("Type", "oneshot")
	g.Append("SyslogIdentifier", "%N")
	runner := opt.Reporter
	if runner == "" {
		runner = opt.Runner
	}
	if runner == "" {
		runner = "/usr/bin/podunit"
	}
	words := []string{runner, "fault", "--"}
	for _, t := range texts {
		words = append(words, specifier.EscapeExec(t))
	}
	g.Append("ExecStart", unitfile.Join(words))
	if install := first.File.Group("Install"); install != nil {
		g = f.Make("Install")
		for i := range install.Lines {
			if l := &install.Lines[i]; !l.IsComment() {
				g.Append(l.Key, l.Value)
			}
		}
	}
	return Unit{Name: name, Source: first.Path, Text: f.Append(nil), Failed: true, Hidden: hidden}
}

// cut shortens a text to at most n bytes.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len("...")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
