// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const (
	module  = "github.com/podunit/podunit/"
	drawing = "../contrib/doc/architecture.md"
)

// layersOf reads the drawing of the packages: from top to bottom, the names in each layer. Rows
// that follow each other without a line between them are one layer.
func layersOf(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile(drawing)
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```text\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatalf("%s has no drawing", drawing)
	}
	layers := [][]string{nil}
	for line := range strings.Lines(block) {
		row, isRow := strings.CutPrefix(line, "[")
		if !isRow {
			layers = append(layers, nil)
			continue
		}
		names, _, closed := strings.Cut(row, "]")
		if !closed {
			t.Fatalf("%s: %q", drawing, line)
		}
		last := &layers[len(layers)-1]
		*last = append(*last, strings.Fields(names)...)
	}
	return layers
}

// drawn is what a package of the runner is called in the drawing.
func drawn(path string) string {
	rest, ok := strings.CutPrefix(path, module+"runner")
	switch {
	case !ok:
		return ""
	case rest == "":
		return "."
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	return name
}

// TestImportsRunOneWay compares the imports with contrib/doc/architecture.md.
func TestImportsRunOneWay(t *testing.T) {
	layers := layersOf(t)
	at := map[string]int{}
	for i, names := range layers {
		for _, name := range names {
			if _, twice := at[name]; twice {
				t.Errorf("%s is drawn twice", name)
			}
			at[name] = i
		}
	}
	list := exec.Command("go", "list", "-tags", buildTags, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"runner/...", module+"generator/...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		packages++
		from := drawn(words[0])
		layer, known := at[from]
		switch {
		case from == "": // the generator's
		case from == "labtest":
			continue // stories, which only tests have
		case !known:
			t.Errorf("%s is not in the drawing of %s", words[0], drawing)
			continue
		}
		for _, path := range words[1:] {
			to := drawn(path)
			switch {
			case to == "" || to == from:
			case from == "":
				t.Errorf("%s imports %s: the generator must not need the runner", words[0], path)
			case at[to] < layer, at[to] == layer && layer < len(layers)-1:
				t.Errorf("%s imports %s, which is not drawn below it", words[0], path)
			}
		}
	}
	if packages < 40 {
		t.Errorf("go list knows %d packages", packages)
	}
}
