// SPDX-License-Identifier: Apache-2.0

// Package report holds what podunit has to say about somebody's files: positions, diagnostics, and
// their drawings for a terminal, for one line of a log, and for programs (JSON, SARIF). What is
// wrong is decided elsewhere.
package report

import (
	"cmp"
	"slices"
	"strconv"
)

// Severity says whether a unit can be used in spite of a diagnostic.
type Severity uint8

// The severities, worst first.
const (
	Error   Severity = iota // the unit is not usable; a failing unit takes its place
	Warning                 // the unit is used, probably not as meant
)

// String is the lower-case word used in every drawing.
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Position is a place in a file. Line and Col start at 1; Col counts bytes. A zero Line means the
// whole file.
type Position struct {
	File string
	Line int
	Col  int
}

// String is file:line:column without the parts that are unknown.
func (p Position) String() string {
	s := p.File
	if p.Line > 0 {
		s += ":" + strconv.Itoa(p.Line)
		if p.Col > 0 {
			s += ":" + strconv.Itoa(p.Col)
		}
	}
	return s
}

// Diagnostic is one finding, with the place it was found at and the way out.
type Diagnostic struct {
	Severity Severity
	Code     string   // stable name of the rule, as "unknown-key"
	Unit     string   // base name of the unit file concerned, as "web.container"; empty for a whole run
	Doing    string   // what was being done: "converting", "loading"; empty for neither
	Pos      Position // where the user wrote it, a drop-in included
	Width    int      // bytes to underline from Pos; zero underlines one
	Excerpt  string   // the physical line at Pos, without its newline
	Message  string   // lower case, no full stop
	Hint     string   // how to mend it, or empty
	Also     int      // further units that the same finding concerns; Dedup counts them
}

// List is a collection of diagnostics.
type List []Diagnostic

// Sort orders by file, line, column, severity and text, so that a report of the same files is
// always the same.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Unit, b.Unit),
			cmp.Compare(a.Message, b.Message),
		)
	})
}

// Errors counts the diagnostics that are errors.
func (l List) Errors() int {
	n := 0
	for i := range l {
		if l[i].Severity == Error {
			n++
		}
	}
	return n
}

// Dedup folds findings of a sorted list that differ only in the unit: a drop-in that a hundred
// units read is complained about once. The list is changed in place.
func (l List) Dedup() List {
	out := l[:0]
	for _, d := range l {
		if n := len(out); n > 0 && d.Pos.File != "" && out[n-1].Pos == d.Pos && out[n-1].Message == d.Message && out[n-1].Severity == d.Severity {
			out[n-1].Also++
			continue
		}
		out = append(out, d)
	}
	return out
}
