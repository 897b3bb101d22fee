// SPDX-License-Identifier: Apache-2.0

package unitfile

import (
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Word is one word of a value, with quotes and escapes resolved. Off and End delimit it in the
// value as written.
type Word struct {
	Text     string
	Off, End int
}

// Texts drops the offsets.
func Texts(words []Word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.Text
	}
	return out
}

// SplitError is a value that cannot be split into words, with the place in it.
type SplitError struct {
	Off int
	Err error
}

func (e *SplitError) Error() string { return e.Err.Error() }

// Unwrap gives ErrQuote or ErrEscape.
func (e *SplitError) Unwrap() error { return e.Err }

// What SplitError wraps.
var (
	ErrQuote  = errors.New("unbalanced quotes")
	ErrEscape = errors.New("unsupported escape char")
)

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// SplitWords splits at blanks. Single and double quotes group, anywhere in a word, and are removed;
// a backslash is an ordinary character. A quote left open is an error.
func SplitWords(s string) ([]Word, error) {
	var out []Word
	for i := 0; i < len(s); {
		if blank(s[i]) {
			i++
			continue
		}
		start := i
		var b []byte
		plain := true
		for i < len(s) && !blank(s[i]) {
			c := s[i]
			if c != '"' && c != '\'' {
				if !plain {
					b = append(b, c)
				}
				i++
				continue
			}
			if plain {
				plain = false
				b = append(b, s[start:i]...)
			}
			n := strings.IndexByte(s[i+1:], c)
			if n < 0 {
				return nil, &SplitError{i, ErrQuote}
			}
			b = append(b, s[i+1:i+1+n]...)
			i += n + 2
		}
		text := s[start:i]
		if !plain {
			text = string(b)
		}
		out = append(out, Word{text, start, i})
	}
	return out, nil
}

// SplitArgs splits as a command line: blanks, both kinds of quotes, and C escapes inside and
// outside of either. An open quote reaches to the end, a backslash at the very end is dropped; any
// other backslash that begins no known escape is an error. An empty word, written "" or ”, is kept.
func SplitArgs(s string) ([]Word, error) {
	var out []Word
	for i := 0; i < len(s); {
		if blank(s[i]) {
			i++
			continue
		}
		start := i
		if n := plainRun(s[i:]); i+n == len(s) || blank(s[i+n]) {
			out = append(out, Word{s[i : i+n], i, i + n})
			i += n
			continue
		}
		var b []byte
		quote := byte(0)
		quoted := false
		for i < len(s) {
			c := s[i]
			switch {
			case c == '\\' && i+1 == len(s):
				i++
			case c == '\\':
				r, n := unescape(s[i+1:])
				if n == 0 {
					return nil, &SplitError{i, ErrEscape}
				}
				b = utf8.AppendRune(b, r)
				i += 1 + n
			case quote != 0 && c == quote:
				quote = 0
				i++
			case quote == 0 && (c == '"' || c == '\''):
				quote, quoted = c, true
				i++
			case quote == 0 && blank(c):
				goto done
			default:
				b = append(b, c)
				i++
			}
		}
	done:
		if len(b) > 0 || quoted {
			out = append(out, Word{string(b), start, i})
		}
	}
	return out, nil
}

// plainRun counts the bytes before the first blank, quote or backslash.
func plainRun(s string) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; blank(c) || c == '"' || c == '\'' || c == '\\' {
			return i
		}
	}
	return len(s)
}

// unescape reads what follows a backslash; n is zero for an escape that does not exist. Hexadecimal
// and octal escapes name a code point, not a byte.
func unescape(s string) (r rune, n int) {
	switch s[0] {
	case 'a':
		return '\a', 1
	case 'b':
		return '\b', 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'v':
		return '\v', 1
	case 's':
		return ' ', 1
	case '\\', '"', '\'':
		return rune(s[0]), 1
	case 'x':
		return number(s, 1, 2, 16)
	case 'u':
		return number(s, 1, 4, 16)
	case 'U':
		return number(s, 1, 8, 16)
	case '0', '1', '2', '3':
		return number(s, 0, 3, 8)
	}
	return 0, 0
}

func number(s string, from, digits, base int) (rune, int) {
	if len(s) < from+digits {
		return 0, 0
	}
	for _, c := range []byte(s[from : from+digits]) {
		if c == '+' || c == '-' || c == '_' {
			return 0, 0
		}
	}
	v, err := strconv.ParseUint(s[from:from+digits], base, 32)
	if err != nil || v == 0 || v > unicode.MaxRune || !utf8.ValidRune(rune(v)) {
		return 0, 0
	}
	return rune(v), from + digits
}

// Quote writes a word so that systemd and SplitArgs read it back as it is. A word of plain
// characters stays bare.
func Quote(word string) string {
	if !needsQuotes(word) {
		return word
	}
	b := []byte{'"'}
	for i := 0; i < len(word); {
		c := word[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(word[i:])
			switch {
			case r != utf8.RuneError && (unicode.IsSpace(r) || unicode.IsControl(r)):
				// The reader of unit files would trim these at the end of a line.
				b = append(b, '\\', 'u')
				for shift := 12; shift >= 0; shift -= 4 {
					b = append(b, "0123456789abcdef"[r>>shift&15])
				}
			default:
				b = append(b, word[i:i+n]...)
			}
			i += n
			continue
		}
		i++
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\a':
			b = append(b, `\a`...)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		case '\v':
			b = append(b, `\v`...)
		default:
			if c <= ' ' || c == 0x7f {
				b = append(b, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
				continue
			}
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// QuotePath writes a word for RequiresMountsFor=. systemd knows quotes there but no escapes: a
// backslash stands for the character after it, whichever that is. A line break cannot be written;
// ok is false then.
func QuotePath(word string) (text string, ok bool) {
	if strings.ContainsAny(word, "\n\r\x00") {
		return "", false
	}
	if !needsQuotes(word) {
		return word, true
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`, true
}

func needsQuotes(word string) bool {
	if word == "" || word == ";" {
		// An empty word would vanish, and systemd takes a lone semicolon for the end of a command.
		return true
	}
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c <= ' ' || c == 0x7f || c == '"' || c == '\'' || c == '\\' {
			return true
		}
		if c >= utf8.RuneSelf {
			return strings.ContainsFunc(word, func(r rune) bool {
				return r == '"' || r == '\'' || r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r)
			})
		}
	}
	return false
}

// Join quotes each word and puts blanks between.
func Join(words []string) string {
	n := len(words)
	for _, w := range words {
		n += len(w)
	}
	var b strings.Builder
	b.Grow(n + 8)
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(Quote(w))
	}
	return b.String()
}
