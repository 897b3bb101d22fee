// SPDX-License-Identifier: Apache-2.0

// Package specifier knows the names of unit files: template and instance parts, drop-in
// directories, which names systemd accepts, and what its %-specifiers do to paths and text. Source:
// systemd.unit(5).
package specifier

import (
	"path/filepath"
	"strings"
)

// Led tells whether a path begins with a specifier: "%h/x" does, "%%h/x" does not. Such a path
// counts as absolute.
func Led(path string) bool {
	return len(path) > 1 && path[0] == '%' && path[1] != '%'
}

// Absolute resolves a path against dir, unless it is absolute or begins with a specifier.
func Absolute(path, dir string) string {
	if path == "" || filepath.IsAbs(path) || Led(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Escape doubles percent signs, so that systemd reads the text as it is.
func Escape(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// EscapeExec doubles percent and dollar signs, for a word of a command line.
func EscapeExec(text string) string { return EscapeVariables(Escape(text)) }

// EscapeVariables doubles dollar signs only, for what may hold specifiers but no variables.
func EscapeVariables(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// Name is the base name of a unit file, taken apart.
type Name struct {
	Stem     string // all before the extension
	Ext      string // with its dot
	Prefix   string // Stem before the @, or all of it
	Instance string // Stem after the @
	At       bool   // there is an @
}

// Parse takes a base name apart.
func Parse(base string) Name {
	ext := filepath.Ext(base)
	n := Name{Stem: base[:len(base)-len(ext)], Ext: ext}
	n.Prefix, n.Instance, n.At = strings.Cut(n.Stem, "@")
	return n
}

// Template tells "base@.ext", of which systemd makes instances.
func (n Name) Template() bool { return n.At && n.Instance == "" }

// DropInDirs lists the names of the directories whose *.conf files are added to a unit file, most
// specific first. Dashes in the instance part make none.
func (n Name) DropInDirs() []string {
	out := []string{n.Stem + n.Ext + ".d"}
	if n.At && n.Instance != "" {
		out = append(out, n.Prefix+"@"+n.Ext+".d")
	}
	for i := len(n.Prefix) - 1; i >= 0; i-- {
		if n.Prefix[i] != '-' || i == len(n.Prefix)-1 && !n.At {
			continue
		}
		if n.At {
			out = append(out, n.Prefix[:i+1]+"@"+n.Ext+".d")
		}
		out = append(out, n.Prefix[:i+1]+n.Ext+".d")
	}
	return append(out, strings.TrimPrefix(n.Ext, ".")+".d")
}

// MaxName is the longest name of a unit that systemd accepts, in bytes (UNIT_NAME_MAX less its
// final NUL).
const MaxName = 255

// Problem says what is wrong with the full name of a unit, as "web.service", or "" when systemd
// accepts it.
func Problem(unit string) string {
	stem := strings.TrimSuffix(unit, ".service")
	switch {
	case stem == "":
		return "is empty"
	case strings.HasPrefix(stem, "@"):
		return "has nothing before the @"
	case len(unit) > MaxName:
		return "is longer than the 255 bytes that systemd accepts"
	}
	for i := 0; i < len(stem); i++ {
		c := stem[i]
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte(`:-_.\@`, c) >= 0 {
			continue
		}
		return "contains a character that systemd does not accept in unit names; letters, digits and :-_.\\ are"
	}
	return ""
}

// Typed tells a name that ends in a type of systemd's units.
func Typed(name string) bool {
	switch filepath.Ext(name) {
	case ".target", ".service", ".timer", ".socket", ".path", ".mount", ".automount", ".device", ".slice", ".scope", ".swap":
		return true
	}
	return false
}
