// SPDX-License-Identifier: Apache-2.0

package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/podunit/podunit/generator/keys"
	"github.com/podunit/podunit/generator/quadlet"
	"github.com/podunit/podunit/generator/unitfile"
)

// TestReadme checks the unit files that the README shows, together, as somebody would copy them.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	// The name stands before the block, or in a comment on its first line.
	block := regexp.MustCompile("(?ms)(?:`([^`\n]+)`:\n\n)?^```ini\n(?:# (\\S+?\\.[a-z]+)\\b[^\n]*\n)?(.*?)^```")
	var files []quadlet.Input
	for _, m := range block.FindAllStringSubmatch(string(data), -1) {
		name := filepath.Base(m[1] + m[2])
		if keys.ByExt(filepath.Ext(name)) == nil {
			continue
		}
		in := quadlet.Input{Path: "/README/" + name, Dir: "/README"}
		in.File, in.Faults = unitfile.Parse(in.Path, []byte(m[3]))
		files = append(files, in)
	}
	if len(files) < 3 {
		t.Fatalf("found %d unit files", len(files))
	}
	for _, d := range Check(files, Options{}) {
		if !strings.HasPrefix(d.Code, "short-name") {
			t.Errorf("%s (%s)", d.Place(), d.Hint)
		}
	}
}
