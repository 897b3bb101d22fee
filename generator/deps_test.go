// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestDependencies keeps what is linked into the generator small: it starts at every boot and daemon-reload.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
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
