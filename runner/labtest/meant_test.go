// SPDX-License-Identifier: Apache-2.0

package labtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMeantDifferencesAreDocumented: whoever finds that a line does something else than with Podman
// finds the line, and why, in the documents.
func TestMeantDifferencesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../contrib/doc/podman.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/beside/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no lines that are compared: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		command := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			_, why, meant := strings.Cut(line, ": ")
			if !strings.HasPrefix(line, "~ ") {
				command = strings.TrimPrefix(strings.TrimPrefix(line, "= "), "> ")
				continue
			}
			row := "| `" + strings.ReplaceAll(command, "|", `\|`) + "` | " + why + " |"
			if !meant || !strings.Contains(string(doc), row) {
				t.Errorf("%s: podman.md lacks\n%s", file, row)
			}
		}
	}
}

// TestProbesDifferencesAreDocumented: the same of the sets of options that are given to the probe.
// A reason stands in the documents once, however many sets have it.
func TestProbesDifferencesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../contrib/doc/podman.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/probe/sets.txt")
	if err != nil {
		t.Fatal(err)
	}
	meant := 0
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "~ ")
		if !ok {
			continue
		}
		meant++
		_, why, ok := strings.Cut(rest, ": ")
		if !ok || !strings.Contains(string(doc), "| "+why+" |\n") {
			t.Errorf("podman.md lacks the reason of\n%s", line)
		}
	}
	if meant == 0 {
		t.Error("no difference is said to be meant")
	}
}
