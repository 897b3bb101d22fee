// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies keeps what is linked into the generator small: it starts at every boot and
// daemon-reload.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(path, "github.com/podunit/podunit/generator") ||
			slices.Contains([]string{"github.com/coreos/go-systemd/v22/unit", "gopkg.in/ini.v1"}, path) {
			continue
		}
		t.Errorf("the generator links %s", path)
	}
	out, err = exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if slices.Contains([]string{"net", "net/http", "crypto/tls", "text/template", "go/ast"}, path) {
			t.Errorf("the generator links %s", path)
		}
	}
}

// TestDirection: nothing below generator/ knows the runner, tests included. The runner uses the
// generator's packages.
func TestDirection(t *testing.T) {
	out, err := exec.Command("go", "list", "-tags", "lab", "-f", "{{.ImportPath}}{{range .Imports}} {{.}}{{end}}{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		packages++
		for _, path := range words[1:] {
			if strings.HasPrefix(path, "github.com/podunit/podunit/runner") {
				t.Errorf("%s imports %s", words[0], path)
			}
		}
	}
	if packages < 10 {
		t.Errorf("go list knows %d packages", packages)
	}
}
