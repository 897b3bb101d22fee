// SPDX-License-Identifier: Apache-2.0

package report

import (
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Line draws a diagnostic as one line without a newline, for the kernel log and the journal. The
// wording begins as users of other Quadlet generators know it, so that what looks for it in a log
// keeps finding it.
func (d Diagnostic) Line() string {
	var b strings.Builder
	if d.Severity == Warning {
		b.WriteString("Warning: ")
	}
	if d.Doing != "" {
		b.WriteString(d.Doing)
		b.WriteByte(' ')
		b.WriteString(strconv.Quote(d.Unit))
		b.WriteString(": ")
	}
	b.WriteString(d.Message)
	if d.Pos.File != "" {
		b.WriteString(" in ")
		b.WriteString(d.Pos.String())
	}
	if d.Also > 0 {
		b.WriteString(", also for ")
		b.WriteString(strconv.Itoa(d.Also))
		b.WriteString(" more")
	}
	if d.Hint != "" {
		b.WriteString(" (hint: ")
		b.WriteString(d.Hint)
		b.WriteByte(')')
	}
	return printable(b.String())
}

// Place draws a diagnostic as "file:line:column: error: message", as compilers do.
func (d Diagnostic) Place() string {
	s := d.Severity.String() + ": " + d.Message
	if d.Pos.File != "" {
		s = d.Pos.String() + ": " + s
	}
	return printable(s)
}

// printable keeps control characters of somebody's file from reaching a terminal or starting a
// second log line.
func printable(s string) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString(`\x` + hex2(s[i]))
		case r == '\t':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

func hex2(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// Palette is how a terminal marks the parts of a drawing; the zero value marks nothing.
type Palette struct{ Error, Warning, Hint, Place, Gutter, Reset string }

// Colours is the palette for terminals that understand ECMA-48, as nearly all do.
func Colours() Palette {
	return Palette{
		Error: "\x1b[1;31m", Warning: "\x1b[1;33m", Hint: "\x1b[36m", Place: "\x1b[1m", Gutter: "\x1b[34m", Reset: "\x1b[0m",
	}
}

// excerptWidth is how many columns of a source line are shown; a longer one is cut around the caret.
const excerptWidth = 110

// Terminal draws the list for people: the place, the message, the source line with a caret, and the
// hint.
func (l List) Terminal(w io.Writer, p Palette) error {
	var b strings.Builder
	for _, d := range l {
		b.Reset()
		d.terminal(&b, p)
		if _, err := io.WriteString(w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

func (d Diagnostic) terminal(b *strings.Builder, p Palette) {
	mark := p.Error
	if d.Severity == Warning {
		mark = p.Warning
	}
	if d.Pos.File != "" {
		b.WriteString(p.Place + printable(d.Pos.String()) + p.Reset + ": ")
	} else if d.Unit != "" {
		b.WriteString(p.Place + printable(d.Unit) + p.Reset + ": ")
	}
	b.WriteString(mark + d.Severity.String() + p.Reset + ": " + printable(d.Message))
	if d.Also > 0 {
		b.WriteString(" (for " + printable(d.Unit) + " and " + strconv.Itoa(d.Also) + " more)")
	}
	b.WriteByte('\n')
	if d.Pos.Line > 0 && d.Excerpt != "" {
		text, pad, width := excerpt(d.Excerpt, d.Pos.Col, d.Width)
		num := strconv.Itoa(d.Pos.Line)
		gap := max(5, len(num))
		b.WriteString(p.Gutter + strings.Repeat(" ", gap-len(num)) + num + " |" + p.Reset + " " + text + "\n")
		b.WriteString(p.Gutter + strings.Repeat(" ", gap) + " |" + p.Reset + " " + strings.Repeat(" ", pad) +
			mark + strings.Repeat("^", width) + p.Reset + "\n")
	}
	if d.Hint != "" {
		b.WriteString("  " + p.Hint + "hint:" + p.Reset + " " + printable(d.Hint) + "\n")
	}
}

// excerpt cuts a source line to what fits around byte column col (from 1) and tells how far to
// indent the caret, and how many carets to draw, in columns. Tabs become blanks, so that the two
// lines stay aligned.
func excerpt(line string, col, width int) (text string, pad, carets int) {
	at := min(max(col-1, 0), len(line))
	end := min(at+max(width, 1), len(line))
	const lead, tail = excerptWidth / 2, excerptWidth
	start, stop := 0, len(line)
	front, back := "", ""
	if at > lead {
		start = at - lead
		for start < at && !utf8.RuneStart(line[start]) {
			start++
		}
		front = "..."
	}
	if stop-start > tail {
		stop = start + tail
		for stop > start && !utf8.RuneStart(line[stop]) {
			stop--
		}
		back = "..."
	}
	end = max(min(end, stop), at)
	columns := func(s string) int { return utf8.RuneCountInString(printable(s)) }
	return front + printable(line[start:stop]) + back, len(front) + columns(line[start:at]), max(1, columns(line[at:end]))
}
