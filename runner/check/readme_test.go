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

// readmeUnits are the unit files that the README shows.
func readmeUnits(t *testing.T) []quadlet.Input {
	t.Helper()
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
	return files
}

// TestReadme checks the unit files that the README shows, together, as somebody would copy them.
func TestReadme(t *testing.T) {
	for _, d := range Check(readmeUnits(t), Options{}) {
		if !strings.HasPrefix(d.Code, "short-name") {
			t.Errorf("%s (%s)", d.Place(), d.Hint)
		}
	}
}

// TestReadmeDirectories: the steps of the README make every directory of the host that its unit
// files mount, and those of the media pod in full.
func TestReadmeDirectories(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^    mkdir -p ([^&\n]+)`).FindAllStringSubmatch(string(data), -1) {
		for word := range strings.FieldsSeq(m[1]) {
			stem, list, braces := strings.Cut(strings.Replace(word, "~", "/home/alice", 1), "{")
			if !braces {
				list = ""
			}
			for name := range strings.SplitSeq(strings.TrimSuffix(list, "}"), ",") {
				there[stem+name] = true
			}
		}
	}
	files := readmeUnits(t)
	paths, err := filepath.Glob("../../testdata/media/*.container")
	if err != nil || len(paths) < 3 {
		t.Fatalf("%v, %v", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		in := quadlet.Input{Path: "/media/" + filepath.Base(path), Dir: "/media"}
		in.File, in.Faults = unitfile.Parse(in.Path, text)
		files = append(files, in)
	}
	missing := 0
	host := Host{Home: "/home/alice", Exists: func(path string) bool {
		if strings.HasPrefix(path, "/home/alice/") && !strings.HasPrefix(path, "/home/alice/.") {
			missing++
			return there[path]
		}
		return true
	}}
	for _, d := range Check(files, Options{Host: host}) {
		if d.Code == "missing-path" {
			t.Errorf("%s (%s)", d.Place(), d.Hint)
		}
	}
	if missing < 6 {
		t.Errorf("the README mounts %d directories", missing)
	}
}
