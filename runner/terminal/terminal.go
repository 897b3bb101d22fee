// SPDX-License-Identifier: Apache-2.0

// Package terminal makes what strangers have written fit to be shown. An image's command, a
// label, the answer of a registry may hold sequences that move the cursor, set the title or
// type for the user, and line breaks or changes of direction that make one line look like
// another. What may do so is shown as an escape, as Go writes it: \x1b, \n, \u202e.
//
// It is for what people read. JSON escapes by itself, and stays as it is.
package terminal

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Line is a text for a cell of a table or a message of one line.
func Line(s string) string { return clean(s, "") }

// Text is a text of several lines.
func Text(s string) string { return clean(s, "\n\t") }

// Filter is a writer for w that shows what may act on a terminal as an escape, line breaks
// and tabs aside, if w is a terminal; otherwise it is w.
func Filter(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &filter{w: w}
	}
	return w
}

// filter keeps back the beginning of a character that is not complete yet.
type filter struct {
	w    io.Writer
	kept []byte
}

func (f *filter) Write(data []byte) (int, error) {
	text := append(f.kept, data...)
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if c := text[len(text)-i:]; utf8.RuneStart(c[0]) {
			if !utf8.FullRune(c) {
				whole -= i
			}
			break
		}
	}
	f.kept = bytes.Clone(text[whole:])
	if _, err := io.WriteString(f.w, Text(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(data), nil
}

func clean(s, keep string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return acts(r, keep) }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || acts(r, keep) {
			quoted := strconv.QuoteToASCII(s[i : i+n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// acts reports whether a terminal does something other than show a character: controls of
// ASCII and of Latin 1, line and paragraph separators, changes of direction. A byte that is
// no character may be a control to a terminal that reads no UTF-8.
func acts(r rune, keep string) bool {
	switch {
	case r < 0x20, r == 0x7f:
		return !strings.ContainsRune(keep, r)
	case r >= 0x80 && r < 0xa0, r == utf8.RuneError:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r == 0x2028, r == 0x2029:
		return true
	}
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
