// SPDX-License-Identifier: Apache-2.0

// Package strace reads what strace(1) has written of programs that ran in a lab, and judges where
// they have opened, made, renamed and removed files: not by a name in a directory in which somebody
// else can put something else in its place. It knows the output of
//
//	strace -ff -qq -ttt -y --decode-pids=pidns -s 4096 -e trace=...
//
// with the calls of Trace, a file for each thread.
package strace

import (
	"strconv"
	"strings"
)

// A call is one system call, as strace prints it.
type call struct {
	name   string
	args   []string // as printed
	result string   // what stands after the equals sign
}

// parse reads a line. Signals, ends of processes and calls that did not return are no calls; an
// execve does not return where it was called if another thread takes its place.
func parse(line string) (call, bool) {
	name, rest, ok := strings.Cut(line, "(")
	if !ok || name == "" || strings.ContainsAny(name, " +-") {
		return call{}, false
	}
	args, rest := split(rest)
	rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), ")"))
	result, ok := strings.CutPrefix(rest, "= ")
	if !ok && !strings.HasPrefix(name, "execve") {
		return call{}, false
	}
	return call{name, args, result}, true
}

// split divides arguments at the commas that are in no string, bracket or path of a descriptor, and
// returns what follows the bracket that ends them.
func split(s string) (args []string, rest string) {
	depth, begin := 0, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			i = closing(s, i)
		case c == '<' && i > 0 && (s[i-1] >= '0' && s[i-1] <= '9' || strings.HasSuffix(s[:i], "AT_FDCWD")):
			if end := strings.IndexByte(s[i:], '>'); end >= 0 { // in paths it is escaped
				i += end
			}
		case strings.IndexByte("([{", c) >= 0:
			depth++
		case depth > 0 && strings.IndexByte(")]}", c) >= 0:
			depth--
		case depth == 0 && (c == ')' || c == ','):
			if arg := strings.TrimSpace(s[begin:i]); arg != "" {
				args = append(args, arg)
			}
			if begin = i + 1; c == ')' {
				return args, s[begin:]
			}
		}
	}
	return append(args, strings.TrimSpace(s[begin:])), ""
}

// closing is the index of the quotation mark that ends the string which begins at i.
func closing(s string, i int) int {
	for i++; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i
}

// text is the string that an argument shows; false for pointers and the like. What strace has cut
// off, of which dots tell, is no string either.
func text(arg string) (string, bool) {
	if !strings.HasPrefix(arg, `"`) || !strings.HasSuffix(arg, `"`) || len(arg) < 2 {
		return "", false
	}
	// Its octal escapes may be shorter than Go's.
	var b strings.Builder
	for s := arg[1 : len(arg)-1]; s != ""; {
		n := 1
		if s[0] != '\\' || len(s) < 2 {
			b.WriteByte(s[0])
			s = s[n:]
			continue
		}
		for n < 4 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			n++
		}
		if n > 1 {
			v, _ := strconv.ParseUint(s[1:n], 8, 16)
			b.WriteByte(byte(v))
			s = s[n:]
			continue
		}
		switch s[1] {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case 'v':
			b.WriteByte('\v')
		case 'f':
			b.WriteByte('\f')
		default: // a quotation mark or a backslash
			b.WriteByte(s[1])
		}
		s = s[2:]
	}
	return b.String(), true
}

// path of a descriptor, as -y shows it: 5</etc/passwd>, AT_FDCWD</home/alice>; empty for sockets and
// the like.
func path(arg string) string {
	_, p, ok := strings.Cut(arg, "<")
	p, closed := strings.CutSuffix(p, ">")
	if !ok || !closed || !strings.HasPrefix(p, "/") {
		return ""
	}
	return unescaped(p)
}

// unescaped replaces strace's \74 and \76, which stand for the marks around a path.
func unescaped(p string) string {
	if !strings.Contains(p, `\`) {
		return p
	}
	s, _ := text(`"` + strings.ReplaceAll(p, `"`, `\"`) + `"`)
	return s
}

// words of a list of strings, as execve has its arguments.
func words(arg string) []string {
	inner, ok := strings.CutPrefix(arg, "[")
	if !ok {
		return nil
	}
	parts, _ := split(strings.TrimSuffix(inner, "]") + ")")
	var list []string
	for _, p := range parts {
		if s, ok := text(p); ok {
			list = append(list, s)
		}
	}
	return list
}
