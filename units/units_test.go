// SPDX-License-Identifier: Apache-2.0

// Package units holds static unit files, and proves that they are ones.
package units

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// files lists all unit files and drop-ins, below user or system.
func files(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, kind := range []string{"system", "user"} {
		err := fs.WalkDir(os.DirFS("."), kind, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				out = append(out, p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatal("no unit files")
	}
	return out
}

func TestParse(t *testing.T) {
	for _, name := range files(t) {
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(data), "# SPDX-License-Identifier: Apache-2.0\n# ") {
				t.Error("it must begin with its license and say what it is for")
			}
			options, err := unit.DeserializeOptions(strings.NewReader(string(data)))
			if err != nil {
				t.Fatal(err)
			}
			dropIn := strings.HasSuffix(path.Dir(name), ".d")
			if suffix := path.Ext(name); dropIn != (suffix == ".conf") || !dropIn && !slices.Contains([]string{".service", ".timer", ".slice", ".target"}, suffix) {
				t.Errorf("%s is no name for it", name)
			}
			described := false
			for _, o := range options {
				if !slices.Contains([]string{"Unit", "Service", "Timer", "Install"}, o.Section) {
					t.Errorf("section [%s]", o.Section)
				}
				described = described || o.Section == "Unit" && o.Name == "Description"
			}
			if !described && !dropIn {
				t.Error("it has no Description=")
			}
		})
	}
}
