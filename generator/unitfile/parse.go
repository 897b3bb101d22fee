// SPDX-License-Identifier: Apache-2.0

package unitfile

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/podunit/podunit/generator/report"
)

const (
	// MaxSize is the largest file that is parsed, in bytes. Nobody writes such a unit; a log file
	// given a unit's name is refused before it is read into memory at early boot.
	MaxSize = 4 << 20
	// MaxLine is the longest line, in bytes: what systemd itself reads (LONG_LINE_MAX in its
	// basic/def.h).
	MaxLine = 1<<20 - 1
	// maxSections is how many different sections a file may have: each is looked for among all when
	// it is met.
	maxSections = 256
	// maxFaults bounds the report of one file: whoever gives a binary file a unit's name needs one
	// screen, not a million.
	maxFaults = 20
)

// parser turns physical lines into logical ones and those into the File.
type parser struct {
	src    *Source
	file   *File
	group  *Group   // of the lines being read; nil before the first header
	above  []string // comments whose section is not known yet
	faults report.List
}

// Parse reads a unit file. It returns what it understood together with every fault found; with an
// error among them the file must not be used as if it were whole. The path serves positions only.
func Parse(path string, data []byte) (*File, report.List) {
	return ParseSource(&Source{Path: path, Text: string(data)})
}

// ParseSource is Parse for a text that may be a part of a file.
func ParseSource(src *Source) (*File, report.List) {
	path := src.Path
	p := &parser{src: src}
	p.file = &File{Source: p.src, Hidden: src.Hidden}
	if len(src.Text) > MaxSize {
		p.src.Text = ""
		p.fault(0, 0, 0, "file-too-large", "file is larger than "+strconv.Itoa(MaxSize>>20)+" MiB", "a unit file is a few lines of text")
		return p.file, p.faults
	}
	text := p.src.Text
	if strings.HasPrefix(text, "\ufeff") {
		p.fault(src.Skip+1, 1, 3, "byte-order-mark", "file begins with a byte-order mark", "save it as UTF-8 without a byte-order mark")
		text = text[len("\ufeff"):]
	}
	var (
		logical []byte  // what is pending of a continued line
		pieces  []piece // where its parts stand
		pending bool
	)
	for row := src.Skip + 1; text != "" && len(p.faults) < maxFaults; row++ {
		raw := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			raw, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if len(raw) > MaxLine {
			p.fault(row, 1, 0, "line-too-long", "line is longer than the "+strconv.Itoa(MaxLine+1)+" bytes that systemd reads", "")
			continue
		}
		if at := validText(raw); at >= 0 {
			what := "invalid UTF-8"
			if raw[at] == 0 {
				what = "a NUL byte"
			}
			p.fault(row, at+1, 1, "not-text", "line contains "+what, "unit files are UTF-8 text")
			continue
		}
		left := strings.TrimLeftFunc(raw, unicode.IsSpace)
		line := strings.TrimRightFunc(left, unicode.IsSpace)
		col := len(raw) - len(left) + 1
		if line == "" || line[0] == '#' || line[0] == ';' {
			// Also between the parts of a continued line, where systemd would stop at a blank one:
			// files rely on it.
			if !pending {
				p.comment(line)
			}
			continue
		}
		part, more := strings.CutSuffix(line, `\`)
		if !pending && !more {
			p.statement(line, piece{0, row, col}, nil)
			continue
		}
		pieces = append(pieces, piece{len(logical), row, col})
		logical = append(logical, part...)
		if len(logical) > MaxLine {
			p.fault(row, 1, 0, "line-too-long", "continued line is longer than the "+strconv.Itoa(MaxLine+1)+" bytes that systemd reads", "")
			logical, pieces, pending = logical[:0], nil, false
			continue
		}
		if pending = more; !more {
			p.statement(string(logical), pieces[0], pieces)
			logical, pieces = logical[:0], nil
		}
	}
	if pending {
		// The file ends within a continued line: the backslash is dropped and the line is used.
		p.statement(strings.TrimRightFunc(string(logical), func(r rune) bool { return r == '\\' || unicode.IsSpace(r) }), pieces[0], pieces)
	}
	p.flush()
	if len(p.faults) >= maxFaults {
		p.faults = append(p.faults[:maxFaults-1:maxFaults-1], report.Diagnostic{
			Code: "too-many-faults", Message: "too many faults, the rest of the file is not read", Pos: report.Position{File: path},
		})
	}
	return p.file, p.faults
}

func (p *parser) fault(row, col, width int, code, message, hint string) {
	d := report.Diagnostic{Code: code, Message: message, Hint: hint, Width: width, Pos: report.Position{File: p.src.Path, Line: row, Col: col}}
	if row > 0 {
		d.Excerpt = p.src.Row(row)
		if len(d.Excerpt) > 4096 {
			d.Excerpt = ""
		}
	}
	p.faults = append(p.faults, d)
}

func (p *parser) comment(text string) {
	if len(p.above) < 1000 || text != "" {
		p.above = append(p.above, text)
	}
}

// flush gives pending comments to the section being read, when what follows is not another section.
func (p *parser) flush() {
	if p.group == nil {
		p.file.Tail = append(p.file.Tail, trimBlank(p.above)...)
	} else {
		for _, c := range p.above {
			p.group.Lines = append(p.group.Lines, Line{Value: c})
		}
	}
	p.above = nil
}

// statement takes one logical line that is neither blank nor a comment.
func (p *parser) statement(text string, start piece, pieces []piece) {
	for _, q := range pieces {
		if q.off == 0 {
			start = q // a lone backslash on the line before contributes nothing
		}
	}
	if left := strings.TrimLeftFunc(text, unicode.IsSpace); len(left) < len(text) {
		// Only a continued line can begin with blanks: those before its backslash.
		cut := len(text) - len(left)
		text = left
		moved := make([]piece, 0, len(pieces))
		for i, q := range pieces {
			if i+1 < len(pieces) && pieces[i+1].off <= cut {
				continue
			}
			if skip := cut - q.off; skip > 0 {
				q.col += skip
				q.off = cut
			}
			q.off -= cut
			moved = append(moved, q)
		}
		if pieces = moved; len(moved) > 0 {
			start = moved[0]
		}
	}
	if text == "" {
		return
	}
	if text[0] == '[' && text[len(text)-1] == ']' {
		p.header(text, start)
		return
	}
	eq := strings.IndexByte(text, '=')
	if eq <= 0 {
		hint := "write Key=value, [Section], or begin a comment with #"
		if text[0] == '[' {
			hint = "a section is written [Name], alone on its line"
		}
		p.fault(start.row, start.col, len(text), "syntax", "not a key-value pair, section or comment", hint)
		return
	}
	if p.group == nil {
		p.fault(start.row, start.col, eq, "no-section", "assignment before the first section", "put a [Section] line above it")
		return
	}
	p.flush()
	key := strings.TrimRightFunc(text[:eq], unicode.IsSpace)
	value := strings.TrimLeftFunc(text[eq+1:], unicode.IsSpace)
	value = strings.TrimRightFunc(value, unicode.IsSpace)
	l := Line{Key: key, Value: value, src: p.src, row: int32(start.row), col: int32(start.col)}
	l.valOff = int32(len(text) - len(strings.TrimLeftFunc(text[eq+1:], unicode.IsSpace)))
	if pieces != nil {
		l.pieces = &pieces
	}
	p.group.Lines = append(p.group.Lines, l)
}

// settle leaves those pending comments to the section before a header that a blank line parts from
// it.
func (p *parser) settle() {
	if p.group == nil {
		return
	}
	last := len(p.above) - 1
	for last >= 0 && p.above[last] != "" {
		last--
	}
	rest := p.above[last+1:]
	p.above = p.above[:last+1]
	p.flush()
	p.above = rest
}

func (p *parser) header(text string, start piece) {
	name := text[1 : len(text)-1]
	bad := name == ""
	for _, r := range name {
		bad = bad || r < ' ' || r == 0x7f || r == '[' || r == ']' || r == utf8.RuneError
	}
	if bad {
		p.fault(start.row, start.col, len(text), "section-name", "invalid section name", "a section is written [Name]")
		return
	}
	p.settle()
	if g := p.file.Group(name); g != nil {
		p.group = g
		p.flush()
		return
	}
	if len(p.file.Groups) >= maxSections {
		p.fault(start.row, start.col, len(text), "too-many-sections", "file has more than "+strconv.Itoa(maxSections)+" sections", "")
		return
	}
	g := &Group{Name: name, Above: trimBlank(p.above), Lines: make([]Line, 0, 8), src: p.src, row: start.row, col: start.col}
	p.above = nil
	p.group = g
	p.file.Groups = append(p.file.Groups, g)
}
