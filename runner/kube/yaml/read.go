// SPDX-License-Identifier: Apache-2.0

// Package yaml reads streams of YAML or JSON documents into trees whose nodes know where they were
// written, and decodes such a tree strictly into Go types with json tags. Every fault of every
// document is reported, not only the first. It knows nothing of what Kubernetes means by a field.
package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/podunit/podunit/generator/report"
)

// Limits of one read. A file of a few lines can stand for billions of values through aliases, and
// a file of ten megabytes is none that a person wrote.
const (
	MaxBytes = 8 << 20 // of one source
	maxNodes = 200_000 // of one document, aliases counted each time they stand for something
	maxDepth = 100     // of nested maps and lists
)

// Source is one file, or what stands in for one: standard input, the answer of a server.
type Source struct {
	Name string // as reports show it
	Data []byte
	// TooLarge says that it has more than MaxBytes; then Data need not be there.
	TooLarge bool
}

// Document is one document of a source that is not empty.
type Document struct {
	File *File
	Root *Node
}

// File is a source with what reports need of it.
type File struct {
	Name  string
	lines []string
}

// line is the text of a line, counted from 1; an overlong one is left out.
func (f *File) line(n int) string {
	if n < 1 || n > len(f.lines) || len(f.lines[n-1]) > 4096 {
		return ""
	}
	return strings.TrimSuffix(f.lines[n-1], "\r")
}

// Read gives the documents of all sources in order. Those with a fault are left out, and the
// report says why; empty documents and null are left out without a word.
func Read(sources []Source, to *Report) []*Document {
	var docs []*Document
	for _, s := range sources {
		f := &File{Name: s.Name}
		if s.TooLarge || len(s.Data) > MaxBytes {
			to.Add(report.Diagnostic{
				Code: "yaml-size", Pos: report.Position{File: s.Name},
				Message: fmt.Sprintf("the file has more than %d MiB", MaxBytes>>20),
				Hint:    "split it, and keep data out of it",
			})
			continue
		}
		data := bytes.TrimPrefix(s.Data, []byte("\ufeff"))
		f.lines = strings.Split(string(data), "\n")
		for _, part := range split(f.lines) {
			docs = append(docs, read(f, part, to)...)
		}
	}
	return docs
}

// part is a run of lines between two marks.
type part struct {
	first int // index of its first line
	text  string
}

// split cuts a stream at the lines that begin with three dashes. YAML allows such a line nowhere
// inside a document, not even in a block of text, so that a fault in one document does not hide
// what is wrong in the next.
func split(lines []string) []part {
	var parts []part
	first := 0
	cut := func(end int) {
		if text := lines[first:end]; hasContent(text) {
			joined := strings.Join(text, "\n")
			if end < len(lines) {
				joined += "\n" // that of the last line, which a block of text may end with
			}
			parts = append(parts, part{first, joined})
		}
	}
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, "---"); ok && (strings.TrimSpace(rest) == "" || rest[0] == ' ' || rest[0] == '\t') {
			cut(i)
			first = i
		}
	}
	cut(len(lines))
	return parts
}

// hasContent tells whether lines hold more than marks, comments and directives.
func hasContent(lines []string) bool {
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l != "" && l != "---" && l != "..." && l[0] != '#' && l[0] != '%' {
			return true
		}
	}
	return false
}

var lineNumber = regexp.MustCompile(`^line (\d+): `)

func read(f *File, p part, to *Report) []*Document {
	var docs []*Document
	d := goyaml.NewDecoder(strings.NewReader(p.text))
	for {
		var doc goyaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			syntax(f, p, err, to)
			return docs
		}
		if len(doc.Content) == 0 {
			continue
		}
		b := builder{file: f, offset: p.first, report: to, built: map[*goyaml.Node]*sized{}}
		root := b.build(doc.Content[0], 0)
		if b.broken || root == nil || root.Kind == Null {
			continue
		}
		docs = append(docs, &Document{File: f, Root: root})
	}
}

// syntax reports what the parser did not understand.
func syntax(f *File, p part, err error, to *Report) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	n := 1
	if m := lineNumber.FindStringSubmatchIndex(text); m != nil {
		n, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[m[1]:]
	}
	n += p.first
	hint, col := "", 1
	line := f.line(n)
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		col = strings.IndexByte(indent, '\t') + 1
		hint = "the line is indented with a tab; YAML wants blanks"
	case strings.Contains(text, "mapping values are not allowed"):
		hint = "the line is indented deeper than its neighbours, or a value with a colon and a blank needs quotes"
	case strings.Contains(text, "did not find expected"):
		hint = "compare the indentation with the lines above"
	}
	to.Add(report.Diagnostic{
		Code: "yaml-syntax", Pos: report.Position{File: f.Name, Line: n, Col: col}, Excerpt: line,
		Message: "YAML: " + text, Hint: hint,
	})
}
