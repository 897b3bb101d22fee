// SPDX-License-Identifier: Apache-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// longest is how many lines a function may have, its first and its last included.
const longest = 80

// tables are the functions that may be longer: each returns the rows of a table and decides nothing.
var tables = map[string]bool{
	"contrib/lab/image/image.go images": true,
	"runner/spec/rows.go healthRows":    true,
	"runner/spec/rows.go lifeRows":      true,
	"runner/spec/rows.go limitRows":     true,
	"runner/spec/rows.go networkRows":   true,
}

// TestFunctionsAreShort counts the lines of all functions outside tests, whose stories are read
// from top to bottom. What is longer than a page does more than one thing: give the parts names.
func TestFunctionsAreShort(t *testing.T) {
	set := token.NewFileSet()
	functions, long := 0, map[string]bool{}
	count := func(path, name string, fn ast.Node) {
		functions++
		first := set.Position(fn.Pos())
		lines := set.Position(fn.End()).Line - first.Line + 1
		if lines <= longest {
			return
		}
		key := path + " " + name
		long[key] = true
		if !tables[key] {
			t.Errorf("%s:%d: %s has %d lines, more than %d", path, first.Line, name, lines, longest)
		}
	}
	eachGoFile(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				count(path, fn.Name.Name, fn)
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if fn, ok := n.(*ast.FuncLit); ok {
					count(path, "a function without a name", fn)
				}
				return true
			})
		}
	})
	eachFile(t, ".c", func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		begin := 0
		for i, line := range strings.Split(string(text), "\n") {
			switch line {
			case "{":
				begin = i // the line before it, counted from 1
				functions++
			case "}":
				if lines := i + 2 - begin; lines > longest {
					t.Errorf("%s:%d: the function has %d lines, more than %d", path, begin, lines, longest)
				}
			}
		}
	})
	for key := range tables {
		if !long[key] {
			t.Errorf("%s is named as a long table, and is none", key)
		}
	}
	if functions < 3000 {
		t.Errorf("%d functions were counted: the trees are not where they are looked for", functions)
	}
}

// TestNamesAreFoundInService reads the calls of Lookup in what service stands on, containers and
// pods. Lookup finds what people name, by a name, an ID or the beginning of one. Only service knows
// whom a word means, and hands down what it has found; below it Lookup is for a whole ID.
func TestNamesAreFoundInService(t *testing.T) {
	set := token.NewFileSet()
	seen := 0
	eachGoFile(t, func(path string) {
		dir := filepath.Base(filepath.Dir(path))
		if dir != "container" && dir != "pod" || filepath.Base(filepath.Dir(filepath.Dir(path))) != "runner" || strings.HasSuffix(path, "_test.go") {
			return
		}
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		calls, byName := lookups(file)
		seen += calls
		for _, at := range byName {
			t.Errorf("%s: Lookup of what is no ID: let service find it, and hand it down", set.Position(at))
		}
	})
	if seen == 0 {
		t.Error("no call of Lookup was seen: the packages are not where they are looked for")
	}
}

// lookups counts the calls of Lookup in a file, and says where one gets something else than an ID.
// LookupExact is Lookup for units, which name without abbreviation.
func lookups(file *ast.File) (calls int, byName []token.Pos) {
	ast.Inspect(file, func(n ast.Node) bool {
		if fn, ok := n.(*ast.FuncDecl); ok && fn.Name.Name == "LookupExact" {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if at, ok := call.Fun.(*ast.SelectorExpr); !ok || at.Sel.Name != "Lookup" {
			return true
		}
		calls++
		if len(call.Args) != 1 || !isID(call.Args[0]) {
			byName = append(byName, call.Pos())
		}
		return true
	})
	return calls, byName
}

// isID reports whether an argument is an ID by what it is called.
func isID(arg ast.Expr) bool {
	switch arg := arg.(type) {
	case *ast.SelectorExpr:
		return arg.Sel.Name == "ID"
	case *ast.Ident:
		return arg.Name == "id" || strings.HasSuffix(arg.Name, "ID") && !strings.HasSuffix(arg.Name, "OrID")
	}
	return false
}

// TestLookupsAreJudged has one call of each kind.
func TestLookupsAreJudged(t *testing.T) {
	for call, fine := range map[string]bool{
		"e.Lookup(r.ID)": true, "e.Lookup(id)": true, "e.Containers.Lookup(podID)": true, "e.LookupEnv(name)": true, "Lookup(name)": true,
		"e.Lookup(nameOrID)": false, "e.Lookup(name)": false, "e.Lookup(r.Name)": false, `e.Lookup("web")`: false, "e.Lookup()": false, "e.Lookup(id, name)": false,
	} {
		for in, exempt := range map[string]bool{"join": false, "LookupExact": true} {
			file, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a\nfunc "+in+"() { "+call+" }", parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if _, byName := lookups(file); (len(byName) == 0) != (fine || exempt) {
				t.Errorf("%s in %s: %d faults", call, in, len(byName))
			}
		}
	}
}

// TestNoFileIsLeftOut reads the build constraints that are written in files: a file of ours is
// compiled whatever the tags are, so that no program has parts that another build of it lacks. Tests
// that need a lab are the only exception; the packages that a program imports decide what is in it. A
// name such as calls_amd64.go leaves a file out, too: it is for what machines have differently.
func TestNoFileIsLeftOut(t *testing.T) {
	labs := 0
	eachGoFile(t, func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			switch line = strings.TrimSpace(line); {
			case strings.HasPrefix(line, "package "):
				return
			case line == "//go:build lab":
				labs++
			case strings.HasPrefix(line, "//go:build"), strings.HasPrefix(line, "// +build"):
				t.Errorf("%s: %s", path, line)
			}
		}
	})
	if labs < 50 {
		t.Errorf("%d files are for the lab", labs)
	}
}

// eachGoFile calls do with the path of each Go file of this project, those of tests included.
func eachGoFile(t *testing.T, do func(path string)) {
	t.Helper()
	eachFile(t, ".go", do)
}

// eachFile calls do with the path of each file with that suffix.
func eachFile(t *testing.T, suffix string, do func(path string)) {
	t.Helper()
	for _, tree := range []string{"contrib", "generator", "runner", "units"} {
		err := filepath.WalkDir(filepath.Join("..", tree), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, suffix) {
				do(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// widest is how many columns a line of a comment may have, with four for a tab. Comments are
// wrapped at 100; a word that would stand alone may stay.
const widest = 102

// TestCommentsHaveOneWidth measures the comments that stand on lines of their own. An address has
// no place to be broken at.
func TestCommentsHaveOneWidth(t *testing.T) {
	set := token.NewFileSet()
	lines := 0
	eachGoFile(t, func(path string) {
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source := strings.Split(string(text), "\n")
		for _, group := range file.Comments {
			for _, comment := range group.List {
				at := set.Position(comment.Pos())
				line := source[at.Line-1]
				if !strings.HasPrefix(strings.TrimLeft(line, "\t"), "// ") || strings.Contains(line, "://") {
					continue
				}
				lines++
				if n := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); n > widest {
					t.Errorf("%s: the comment has %d columns, more than %d", at, n, widest)
				}
			}
		}
	})
	if lines < 10000 {
		t.Errorf("%d lines of comments were measured: the trees are not where they are looked for", lines)
	}
}

// TestNothingIsCompiledAtLoad reads the packages of the program that services execute: a start
// loads them all, and a stop twice more, so that a regular expression is compiled when it is first
// needed, if it is.
func TestNothingIsCompiledAtLoad(t *testing.T) {
	list := exec.Command("go", "list", "-tags", buildTags, "-deps", "-f", `{{if not .Standard}}{{range .GoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, ".")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	set := token.NewFileSet()
	files := 0
	for line := range strings.Lines(string(out)) {
		name, path, ours := strings.Cut(strings.TrimSpace(line), " ")
		if !ours || !strings.HasPrefix(name, module) && name+"/" != module {
			continue
		}
		files++
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if _, ok := decl.(*ast.FuncDecl); ok {
				continue
			}
			ast.Inspect(decl, func(n ast.Node) bool {
				if at, ok := n.(*ast.SelectorExpr); ok && at.Sel.Name == "MustCompile" {
					t.Errorf("%s: it is compiled at each start: sync.OnceValue makes it wait", set.Position(at.Pos()))
				}
				_, function := n.(*ast.FuncLit)
				return !function
			})
		}
	}
	if files < 100 {
		t.Errorf("go list knows %d files", files)
	}
}
