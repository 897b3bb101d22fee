// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// list reads a layer back: name, type, mode, owner, target or content of each entry.
func list(t *testing.T, r registry, l layer) map[string]*tar.Header {
	t.Helper()
	f, err := os.Open(r.blobPath(l.digest))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*tar.Header{}
	for tr := tar.NewReader(zip); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if all[h.Name] != nil {
			t.Errorf("%s twice", h.Name)
		}
		all[h.Name] = h
	}
}

func TestLayer(t *testing.T) {
	r := registry(t.TempDir())
	tree := t.TempDir()
	for _, name := range []string{"usr/bin/below", "usr/bin/new", "usr/share/doc/x", "usr/lib/made"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(tree, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(tree, name), []byte("tree"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	below := layer{paths: map[string]bool{"usr": true, "usr/bin": true, "usr/bin/below": true}}
	c := content{
		name: "x", tree: tree, keep: keep, below: []layer{below},
		entries: []entry{
			file("usr/lib/made", "made"), whiteout("a/b"), opaque("a/c"), link("usr/bin/l", "new"),
			moded(file("s", ""), 0o755|fs.ModeSetuid), owned(dir("d"), 999), script("a/run", "#!"),
		},
	}
	l, err := r.layer(c)
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, r, l)
	var names []string
	for n := range got {
		names = append(names, n)
	}
	slices.Sort(names)
	want := "a/ a/.wh.b a/c/ a/c/.wh..wh..opq a/run d/ s usr/bin/l usr/bin/new usr/lib/ usr/lib/made usr/share/"
	if s := strings.Join(names, " "); s != want {
		t.Errorf("names\ngot  %s\nwant %s", s, want)
	}
	if h := got["s"]; h.Mode != 0o4755 {
		t.Errorf("setuid file: mode %o", h.Mode)
	}
	if h := got["d/"]; h.Uid != 999 || h.Gid != 999 || h.Mode != 0o755 {
		t.Errorf("owned directory: %d:%d %o", h.Uid, h.Gid, h.Mode)
	}
	if h := got["usr/bin/l"]; h.Typeflag != tar.TypeSymlink || h.Linkname != "new" {
		t.Errorf("link: %c to %s", h.Typeflag, h.Linkname)
	}
	if got["usr/lib/made"].Size != int64(len("made")) {
		t.Error("a file that is made loses to the tree's")
	}
	again, err := r.layer(c)
	if err != nil || again.digest != l.digest {
		t.Errorf("the same content, another digest: %s, %s, %v", l.digest, again.digest, err)
	}
	if left, _ := filepath.Glob(filepath.Join(string(r), "layer-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestPush(t *testing.T) {
	r := registry(t.TempDir())
	l, err := r.layer(content{name: "x", entries: []entry{file("f", "x")}})
	if err != nil {
		t.Fatal(err)
	}
	run := runConfig{Cmd: []string{"x"}, Healthcheck: &healthcheck{Test: []string{"CMD", "true"}}}
	if err := r.push("repo", "tag", run, true, []layer{l}, "amd64"); err != nil {
		t.Fatal(err)
	}
	current, err := os.ReadFile(r.v2("repositories/repo/_manifests/tags/tag/current/link"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(r.blobPath(string(current)))
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	if m.MediaType != "application/vnd.docker.distribution.manifest.v2+json" || len(m.Layers) != 1 || m.Layers[0].Digest != l.digest || m.Layers[0].Size != l.size {
		t.Errorf("manifest %s", data)
	}
	if data, err = os.ReadFile(r.blobPath(m.Config.Digest)); err != nil || int64(len(data)) != m.Config.Size {
		t.Fatalf("config of %d bytes: %v", len(data), err)
	}
	var c config
	if err := json.Unmarshal(data, &c); err != nil || c.Config.Healthcheck == nil || !slices.Equal(c.RootFS.DiffIDs, []string{l.diffID}) {
		t.Errorf("config %s: %v", data, err)
	}
}

func TestImagesAreComplete(t *testing.T) {
	for _, img := range images() {
		if img.run.Cmd == nil && img.run.Entrypoint == nil {
			t.Errorf("%s runs nothing", img.name)
		}
		if img.static && img.packages != "" {
			t.Errorf("%s: packages need the base", img.name)
		}
	}
}
