// SPDX-License-Identifier: Apache-2.0

// Package unitfile models the syntax of systemd's unit files as Quadlet reads it: sections,
// assignments, comments and continued lines, each with the place it was written at, which survives
// the merging of drop-ins. It knows nothing of what the keys mean. Source: systemd.syntax(7), and
// where Quadlet differs from it, that is said beside the code.
package unitfile

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/podunit/podunit/generator/report"
)

// Source is the text of one file, or of a part of one, kept so that a report can quote it.
type Source struct {
	Path string
	Text string
	Skip int // physical lines of the file before Text
	// Hidden is the read permissions of group and others, 0o044, that the file does not have.
	Hidden uint32
}

// Row returns physical line n (from 1) without its line end.
func (s *Source) Row(n int) string {
	text := s.Text
	for n -= s.Skip; n > 1; n-- {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			return ""
		}
		text = text[i+1:]
	}
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return strings.TrimSuffix(text, "\r")
}

// piece is a stretch of a logical line that stands together on one physical line.
type piece struct {
	off int // where it begins in the logical line
	row int // physical line, from 1
	col int // byte column there, from 1
}

// Line is an assignment, or a comment (Key empty, Value the comment with its mark; an empty Value
// is a blank line).
type Line struct {
	Key, Value string

	src    *Source  // nil for a line that the generator made
	pieces *[]piece // only for continued lines
	row    int32
	col    int32
	valOff int32 // where the value begins in the logical line
}

// Pos is where the key stands.
func (l *Line) Pos() report.Position {
	if l.src == nil {
		return report.Position{}
	}
	return report.Position{File: l.src.Path, Line: int(l.row), Col: int(l.col)}
}

// ValuePos is where byte off of the value stands, also on a continued line.
func (l *Line) ValuePos(off int) report.Position {
	if l.src == nil {
		return report.Position{}
	}
	at := int(l.valOff) + off
	if l.pieces == nil {
		return report.Position{File: l.src.Path, Line: int(l.row), Col: int(l.col) + at}
	}
	p := (*l.pieces)[0]
	for _, q := range (*l.pieces)[1:] {
		if q.off > at {
			break
		}
		p = q
	}
	return report.Position{File: l.src.Path, Line: p.row, Col: p.col + at - p.off}
}

// Excerpt is the physical line at p, if p lies in the file that this line came from.
func (l *Line) Excerpt(p report.Position) string {
	if l.src == nil || p.Line == 0 || p.File != l.src.Path {
		return ""
	}
	return l.src.Row(p.Line)
}

// IsComment tells a comment or blank line from an assignment.
func (l *Line) IsComment() bool { return l.Key == "" }

// Group is one section: the lines of all sections of that name in the file, in order.
type Group struct {
	Name  string
	Above []string // comments before the section's first header
	Lines []Line
	src   *Source
	row   int
	col   int
}

// Pos is where the section's first header stands; it is zero for a section that the generator made.
func (g *Group) Pos() report.Position {
	if g.src == nil {
		return report.Position{}
	}
	return report.Position{File: g.src.Path, Line: g.row, Col: g.col}
}

// Excerpt is the header as it was written.
func (g *Group) Excerpt() string {
	if g.src == nil {
		return ""
	}
	return g.src.Row(g.row)
}

// Last is the last assignment to key, or nil.
func (g *Group) Last(key string) *Line {
	if g == nil {
		return nil
	}
	for i := len(g.Lines) - 1; i >= 0; i-- {
		if g.Lines[i].Key == key {
			return &g.Lines[i]
		}
	}
	return nil
}

// All is every assignment to key, in order.
func (g *Group) All(key string) []*Line {
	if g == nil {
		return nil
	}
	var out []*Line
	for i := range g.Lines {
		if g.Lines[i].Key == key {
			out = append(out, &g.Lines[i])
		}
	}
	return out
}

// Append adds an assignment at the end of the section.
func (g *Group) Append(key, value string) { g.Lines = append(g.Lines, Line{Key: key, Value: value}) }

// Set overwrites the last assignment to key, or adds one.
func (g *Group) Set(key, value string) {
	if l := g.Last(key); l != nil {
		*l = Line{Key: key, Value: value}
		return
	}
	g.Append(key, value)
}

// Default adds an assignment unless the section has one to that key.
func (g *Group) Default(key, value string) {
	if g.Last(key) == nil {
		g.Append(key, value)
	}
}

// Prepend puts assignments before all other lines of the section, in the order given.
func (g *Group) Prepend(lines ...Line) { g.Lines = slices.Insert(g.Lines, 0, lines...) }

// Remove drops every assignment to key.
func (g *Group) Remove(key string) {
	kept := g.Lines[:0:0]
	for _, l := range g.Lines {
		if l.Key != key {
			kept = append(kept, l)
		}
	}
	g.Lines = kept
}

// File is a unit file: its own text, and after Merge that of its drop-ins.
type File struct {
	Source *Source
	Groups []*Group
	Tail   []string // comments of a file that has no section at all
	Hidden uint32   // as in Source, of the file and its drop-ins together
}

// Group returns the section of that name, or nil.
func (f *File) Group(name string) *Group {
	for _, g := range f.Groups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// Make returns the section of that name, adding an empty one at the end when there is none.
func (f *File) Make(name string) *Group {
	if g := f.Group(name); g != nil {
		return g
	}
	g := &Group{Name: name, Lines: make([]Line, 0, 12)}
	f.Groups = append(f.Groups, g)
	return g
}

// Rename gives a section another name; if there is one of that name already, the lines join it.
func (f *File) Rename(from, to string) {
	g := f.Group(from)
	if g == nil || from == to {
		return
	}
	other := f.Group(to)
	if other == nil {
		g.Name = to
		return
	}
	other.absorb(g)
	kept := f.Groups[:0:0]
	for _, x := range f.Groups {
		if x != g {
			kept = append(kept, x)
		}
	}
	f.Groups = kept
}

func (g *Group) absorb(o *Group) {
	for _, c := range o.Above {
		g.Lines = append(g.Lines, Line{Value: c})
	}
	g.Lines = append(g.Lines, o.Lines...)
}

// Merge adds the text of a drop-in as if it followed this file's. The drop-in's lines keep their
// own positions.
func (f *File) Merge(dropin *File) {
	f.Hidden |= dropin.Hidden
	for _, d := range dropin.Groups {
		if g := f.Group(d.Name); g != nil {
			g.absorb(d)
			continue
		}
		c := *d
		c.Lines = append([]Line(nil), d.Lines...)
		f.Groups = append(f.Groups, &c)
	}
}

// Copy is a copy that a generator may add lines to. It has a [Unit] and a [Service] section with
// lines of their own and room for more; other sections share their lines with f until one is added.
func (f *File) Copy() *File {
	c := &File{Source: f.Source, Tail: f.Tail, Groups: make([]*Group, 0, len(f.Groups)+2)}
	add := func(g Group) {
		n := len(g.Lines)
		if more := room(g.Name); more > 0 {
			g.Lines = append(make([]Line, 0, n+more), g.Lines...)
		} else {
			g.Lines = g.Lines[:n:n]
		}
		c.Groups = append(c.Groups, &g)
	}
	for _, g := range f.Groups {
		add(*g)
	}
	for _, name := range [...]string{"Unit", "Service"} {
		if f.Group(name) == nil {
			add(Group{Name: name})
		}
	}
	return c
}

// room is how many lines the generator will add to a section.
func room(section string) int {
	switch section {
	case "Unit":
		return 6
	case "Service":
		return 12
	}
	return 0
}

// Size is the length of what Append prints.
func (f *File) Size() int {
	n := 0
	for _, c := range f.Tail {
		n += len(c) + 1
	}
	for _, g := range f.Groups {
		n += len(g.Name) + 4
		for _, c := range g.Above {
			n += len(c) + 1
		}
		for i := range g.Lines {
			n += len(g.Lines[i].Key) + len(g.Lines[i].Value) + 2
		}
	}
	return n
}

// Append prints the file after b: sections in order with one blank line between, `Key=Value`
// without blanks, continued lines joined, comments where they were.
func (f *File) Append(b []byte) []byte {
	for _, c := range f.Tail {
		b = append(append(b, c...), '\n')
	}
	for i, g := range f.Groups {
		if i > 0 || len(f.Tail) > 0 {
			b = append(b, '\n')
		}
		for _, c := range trimBlank(g.Above) {
			b = append(append(b, c...), '\n')
		}
		b = append(b, '[')
		b = append(b, g.Name...)
		b = append(b, "]\n"...)
		lines := g.Lines
		for len(lines) > 0 && lines[len(lines)-1].blank() {
			lines = lines[:len(lines)-1]
		}
		for len(lines) > 0 && lines[0].blank() {
			lines = lines[1:]
		}
		for j := range lines {
			if l := &lines[j]; l.Key != "" {
				b = append(b, l.Key...)
				b = append(b, '=')
				b = append(b, l.Value...)
			} else {
				b = append(b, l.Value...)
			}
			b = append(b, '\n')
		}
	}
	return b
}

// EachSource lets rename give another path to each file that the text came from.
func (f *File) EachSource(rename func(path string) string) {
	seen := map[*Source]bool{}
	visit := func(s *Source) {
		if s != nil && !seen[s] {
			seen[s] = true
			s.Path = rename(s.Path)
		}
	}
	visit(f.Source)
	for _, g := range f.Groups {
		visit(g.src)
		for i := range g.Lines {
			visit(g.Lines[i].src)
		}
	}
}

func (l *Line) blank() bool { return l.Key == "" && l.Value == "" }

func trimBlank(c []string) []string {
	for len(c) > 0 && c[0] == "" {
		c = c[1:]
	}
	for len(c) > 0 && c[len(c)-1] == "" {
		c = c[:len(c)-1]
	}
	return c
}

// String prints the file.
func (f *File) String() string { return string(f.Append(nil)) }

// validText reports the offset of the first NUL byte or malformed UTF-8 sequence, or -1.
func validText(s string) int {
	if utf8.ValidString(s) {
		return strings.IndexByte(s, 0)
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
