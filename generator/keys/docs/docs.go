// SPDX-License-Identifier: Apache-2.0

// Package docs draws the key table: as text for `podunit help keys`, as the manual page
// podunit.unit(5), as a Markdown reference, as Vim syntax, and as JSON for editors. The files under
// contrib are written by `go run ./generator/keys/docs/write`, and a test fails when they are
// stale.
package docs

//go:generate sh -c "cd ../../.. && go run ./generator/keys/docs/write"

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/spelling"
)

// Files are the drawings that are kept in the tree, by path from its root.
func Files() map[string][]byte {
	return map[string][]byte{
		"contrib/doc/podunit.unit.5":            Man(),
		"contrib/doc/keys.md":                   Markdown(),
		"contrib/editor/vim/syntax/quadlet.vim": Vim(),
		"contrib/editor/keys.json":              JSON(),
	}
}

// Help explains a key in all sections that have it, or lists the keys of a section, or of all when
// name is empty. An unknown name gives an error with the nearest one.
func Help(name string) (string, error) {
	name = strings.TrimSuffix(strings.Trim(name, "[]"), "=")
	var b strings.Builder
	for _, s := range keys.Sections() {
		if name == "" || strings.EqualFold(name, s.Name) {
			helpSection(&b, s)
		}
	}
	all := []string{}
	for _, s := range keys.Sections() {
		for i := range s.Keys {
			k := &s.Keys[i]
			all = append(all, k.Name)
			if name != "" && strings.EqualFold(name, k.Name) {
				helpKey(&b, s, k)
			}
		}
	}
	if b.Len() == 0 {
		hint := "podunit help keys lists them all"
		if near := spelling.Nearest(name, all); near != "" {
			hint = "did you mean " + near + "?"
		}
		return "", fmt.Errorf("no key or section %q; %s", name, hint)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func helpSection(b *strings.Builder, s *keys.Section) {
	files := "any file"
	if s.Ext != "" {
		files = "NAME" + s.Ext
	}
	fmt.Fprintf(b, "[%s]  in %s. %s\n", s.Name, files, s.Doc)
	for _, k := range s.Keys {
		fmt.Fprintf(b, "  %-24s %s\n", k.Name+"=", first(k.Doc))
	}
	b.WriteByte('\n')
}

// first is the first sentence of a text.
func first(doc string) string {
	if i := strings.Index(doc, ". "); i >= 0 {
		return doc[:i+1]
	}
	return doc
}

func helpKey(b *strings.Builder, s *keys.Section, k *keys.Key) {
	fmt.Fprintf(b, "%s=%s  in [%s]\n  %s\n", k.Name, Value(k), s.Name, k.Doc)
	for _, f := range facts(k) {
		fmt.Fprintf(b, "  %s: %s\n", f[0], f[1])
	}
	b.WriteByte('\n')
}

// Value is how a key's value looks, for people.
func Value(k *keys.Key) string {
	switch {
	case k.Kind == keys.Bool || k.Kind == keys.Switch:
		return "BOOLEAN"
	case k.Value != "":
		return k.Value
	}
	return "VALUE"
}

// facts are what can be said of a key beside its text.
func facts(k *keys.Key) [][2]string {
	out := [][2]string{{"Kind", k.Kind.String()}}
	if len(k.Values) > 0 {
		out = append(out, [2]string{"Values", strings.Join(k.Values, ", ")})
	}
	if k.Default != "" {
		out = append(out, [2]string{"Default", k.Default})
	}
	if k.Flag != "" {
		out = append(out, [2]string{"Flag", strings.TrimSuffix(k.Flag, "=")})
	}
	out = append(out, [2]string{"Since", "Podman " + k.Since})
	if k.Deprecated != "" {
		out = append(out, [2]string{"Deprecated", "use " + k.Deprecated})
	}
	return append(out, [2]string{"Example", k.Name + "=" + k.Example})
}

// Markdown is the reference of all keys.
func Markdown() []byte {
	var b bytes.Buffer
	b.WriteString("# Keys of unit files\n\nWritten from the key table by `go run ./generator/keys/docs/write`; podunit.unit(5) says how files are found and read.\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, s := range keys.Sections() {
		files := "any file"
		if s.Ext != "" {
			files = "`NAME" + s.Ext + "`, which becomes `NAME" + s.Suffix + ".service`"
		}
		fmt.Fprintf(&b, "\n## [%s]\n\n%s In %s.\n\n| key | value | default | since | |\n|---|---|---|---|---|\n", s.Name, s.Doc, files)
		for i := range s.Keys {
			k := &s.Keys[i]
			doc := k.Doc
			if k.Kind.Repeats() {
				doc += " May be repeated; an empty value discards those before it."
			}
			if len(k.Values) > 0 {
				doc += " One of `" + strings.Join(k.Values, "`, `") + "`."
			}
			if k.Flag != "" {
				doc += " Becomes `" + strings.TrimSuffix(k.Flag, "=") + "`."
			}
			if k.Deprecated != "" {
				doc += " Deprecated, use `" + k.Deprecated + "`."
			}
			fmt.Fprintf(&b, "| `%s=` | %s | %s | %s | %s Example: `%s=%s` |\n", k.Name, "`"+cell(Value(k))+"`", cell(k.Default), k.Since, cell(doc), k.Name, cell(k.Example))
		}
	}
	return b.Bytes()
}

// JSON lists the keys for editors.
func JSON() []byte {
	type key struct {
		Name       string   `json:"name"`
		Kind       string   `json:"kind"`
		Repeats    bool     `json:"repeats"`
		Value      string   `json:"value"`
		Values     []string `json:"values,omitempty"`
		Default    string   `json:"default,omitempty"`
		Flag       string   `json:"flag,omitempty"`
		Since      string   `json:"since"`
		Deprecated string   `json:"deprecated,omitempty"`
		Example    string   `json:"example"`
		Doc        string   `json:"doc"`
	}
	type section struct {
		Name      string `json:"name"`
		Extension string `json:"extension,omitempty"`
		Suffix    string `json:"serviceSuffix,omitempty"`
		Since     string `json:"since"`
		Doc       string `json:"doc"`
		Keys      []key  `json:"keys"`
	}
	var all []section
	for _, s := range keys.Sections() {
		out := section{Name: s.Name, Extension: s.Ext, Suffix: s.Suffix, Since: s.Since, Doc: s.Doc}
		for i := range s.Keys {
			k := &s.Keys[i]
			values := k.Values
			if k.Kind == keys.Bool || k.Kind == keys.Switch {
				values = []string{"true", "false"}
			}
			out.Keys = append(out.Keys, key{
				k.Name, k.Kind.String(), k.Kind.Repeats(), Value(k), values, k.Default, strings.TrimSuffix(k.Flag, "="), k.Since, k.Deprecated, k.Example, k.Doc,
			})
		}
		all = append(all, out)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	// The types above hold nothing that cannot be encoded.
	_ = e.Encode(map[string]any{"sections": all})
	return b.Bytes()
}

// Vim is a syntax file that knows each section's keys and marks others.
func Vim() []byte {
	var b bytes.Buffer
	b.WriteString(`" Vim syntax file for Quadlet unit files (.container .pod .kube .volume .network .image .build .artifact .quadlets)
" Written from the key table by: go run ./generator/keys/docs/write
if exists("b:current_syntax")
  finish
endif
runtime! syntax/systemd.vim
unlet! b:current_syntax

syn match  quadletComment /^\s*[#;].*/ contains=quadletFileName
syn match  quadletFileName /FileName=\S\+/ contained
syn match  quadletReference /\<[A-Za-z0-9:_.@-]\+\.\(container\|pod\|kube\|volume\|network\|image\|build\|artifact\)\>/ contained
syn match  quadletSpecifier /%[%A-Za-z]/ contained
syn match  quadletContinued /\\$/ contained
syn match  quadletUnknown /^\s*[^#;\[= \t][^=]*\ze=/ contained
`)
	for _, s := range keys.Sections() {
		fmt.Fprintf(&b, "\nsyn region quadlet%[1]s start=/^\\s*\\[%[1]s\\]/ end=/^\\ze\\s*\\[/ keepend fold contains=quadletHeader,quadletUnknown,quadlet%[1]sKey,quadletComment,quadletReference,quadletSpecifier,quadletContinued\n", s.Name)
		fmt.Fprintf(&b, "syn match quadlet%sKey /^\\s*\\(%s\\)\\ze\\s*=/ contained\n", s.Name, strings.Join(s.Names(), `\|`))
		fmt.Fprintf(&b, "hi def link quadlet%sKey Keyword\n", s.Name)
	}
	b.WriteString(`
syn match quadletHeader /^\s*\[[^\]]*\]/ contained

hi def link quadletComment Comment
hi def link quadletFileName SpecialComment
hi def link quadletReference Identifier
hi def link quadletSpecifier Special
hi def link quadletContinued Special
hi def link quadletUnknown Error
hi def link quadletHeader Type

let b:current_syntax = "quadlet"
`)
	return b.Bytes()
}
