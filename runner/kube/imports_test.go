// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the package pure: no disk, no network, no manager, no command line.
func TestImports(t *testing.T) {
	for _, pattern := range []string{"*.go", "manifest/*.go", "yaml/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				path, _ := strconv.Unquote(i.Path.Value)
				for _, bad := range []string{"os", "os/exec", "net/http", "github.com/spf13", "github.com/godbus", "github.com/coreos/go-systemd"} {
					if path == bad || path == "net" || bad != "os" && strings.HasPrefix(path, bad+"/") {
						t.Errorf("%s imports %s", file, path)
					}
				}
				own, ok := strings.CutPrefix(path, "github.com/podunit/podunit/")
				if ok && own != "runner/spec" && own != "runner/kube" && own != "runner/kube/yaml" && own != "generator/report" && own != "generator/spelling" {
					t.Errorf("%s imports %s", file, path)
				}
			}
		}
	}
}
