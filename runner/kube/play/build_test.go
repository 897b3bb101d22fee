// SPDX-License-Identifier: Apache-2.0

package play

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/hint"
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

// TestBuildWithoutBuildah: only where buildah is missing is its package the way out.
func TestBuildWithoutBuildah(t *testing.T) {
	w := &work{Player: newWorld(t).Player}
	bin, dir := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin)
	err := w.buildOne(t.Context(), "app", dir)
	if h := hint.Of(err); err == nil || !strings.Contains(err.Error(), "is not installed") || !strings.Contains(h, "apt install buildah") || !strings.Contains(h, "--build=false") {
		t.Errorf("without buildah: %v; %s", err, h)
	}
	conf := filepath.Join(dir, "storage.conf")
	t.Setenv("CONTAINERS_STORAGE_CONF", conf)
	for path, text := range map[string]string{filepath.Join(bin, "buildah"): "#!/bin/sh\n", conf: "[storage\n"} {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	err = w.buildOne(t.Context(), "app", dir)
	if h := hint.Of(err); err == nil || !strings.Contains(h, "containers-storage.conf(5)") {
		t.Errorf("with a storage.conf that cannot be read: %v; %s", err, h)
	}
}
