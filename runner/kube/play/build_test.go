// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"
	"path/filepath"
	"testing"
)

// TestBuildDirectories: an image is built in the directory of its name, if that has the file for it.
func TestBuildDirectories(t *testing.T) {
	b := Build{Dir: t.TempDir()}
	for _, name := range []string{"app/Containerfile", "old/Dockerfile", "other/README"} {
		path := filepath.Join(b.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"app": "app", "app:1": "app", "quay.io:5000/me/app:1@sha256:abc": "app", "localhost/old": "old",
		"other": "", "none": "", "": "", "..": "", "quay.io/": "",
	} {
		if want != "" {
			want = filepath.Join(b.Dir, want)
		}
		if got := b.directory(name); got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
	if got := (Build{}).directory("app"); got != "" {
		t.Error(got)
	}
}
