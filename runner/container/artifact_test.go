// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/spec"
)

// TestArtifactMounts: where a file of an artifact goes depends on what the image has there. Source:
// podman-run(1).
func TestArtifactMounts(t *testing.T) {
	top, rootfs := t.TempDir(), t.TempDir()
	dir := image.ArtifactDir(top)
	put := func(content string) string {
		d := digest.FromString(content)
		path := filepath.Join(dir, "blobs", "sha256", d.Encoded())
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	layer := func(title string) string {
		return fmt.Sprintf(`{"digest":%q,"annotations":{"org.opencontainers.image.title":%q}}`, put("content of "+title), title)
	}
	entry := func(name string, layers ...string) string {
		return fmt.Sprintf(`{"digest":%q,"annotations":{"org.opencontainers.image.ref.name":%q}}`, put(`{"layers":[`+strings.Join(layers, ",")+`]}`), name)
	}
	index := `{"manifests":[` + entry("r.example/one:1", layer("a")) + "," + entry("r.example/two:1", layer("a"), layer("b")) + `]}`
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "index.json"), []byte(index), 0o600),
		os.Mkdir(filepath.Join(rootfs, "dir"), 0o700), os.WriteFile(filepath.Join(rootfs, "file"), nil, 0o600),
		os.Symlink("/dir", filepath.Join(rootfs, "link")), os.Symlink("/etc", filepath.Join(rootfs, "out")),
	); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of, at      string
		blob        spec.Blob
		want, fault string
	}{
		{of: "one", at: "/dir", want: "/dir/a"},
		{of: "one", at: "/link", want: "/link/a"},
		{of: "one", at: "/out", want: "/out"}, // the image has no /etc
		{of: "one", at: "/file", want: "/file"},
		{of: "one", at: "/new", want: "/new"},
		{of: "one", at: "/dir", blob: spec.Blob{Name: "n"}, want: "/dir/n"},
		{of: "one", at: "/new", blob: spec.Blob{Name: "n"}, want: "/new"},
		{of: "two", at: "/dir", want: "/dir/a /dir/b"},
		{of: "two", at: "/new", want: "/new/a /new/b"},
		{of: "two", at: "/new", blob: spec.Blob{Name: "n"}, want: "/new/n-0 /new/n-1"},
		{of: "two", at: "/new", blob: spec.Blob{Title: "b"}, want: "/new"},
		{of: "two", at: "/file", fault: "more than one blob and container path \"/file\" is a file"},
		{of: "three", at: "/new", fault: "artifact does not exist"},
	} {
		m := spec.Mount{Type: spec.MountArtifact, Source: "r.example/" + c.of + ":1", Destination: c.at, Blob: c.blob}
		got, err := artifact(top, m, rootfs)
		var places []string
		for _, one := range got {
			places = append(places, one.Destination)
			if one.Type != spec.MountBind || !one.ReadOnly() {
				t.Errorf("%s at %s: %+v", c.of, c.at, one)
			}
			if b, err := os.ReadFile(one.Source); err != nil || !strings.HasPrefix(string(b), "content of ") {
				t.Errorf("%s at %s: %q %v", c.of, c.at, b, err)
			}
		}
		if strings.Join(places, " ") != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s at %s %+v: %q, %v", c.of, c.at, c.blob, places, err)
		}
	}
}
