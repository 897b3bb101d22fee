// SPDX-License-Identifier: Apache-2.0

package image

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/storage/pkg/lockfile"
	"golang.org/x/sys/unix"
)

// putBlob adds a blob to a layout.
func putBlob(t *testing.T, dir string, content []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(content)
	path := filepath.Join(dir, "blobs", "sha256", d.Encoded())
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
	return d
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBlobs(t *testing.T) {
	top := t.TempDir()
	dir := ArtifactDir(top)
	if _, err := Blobs(top, "nosuch", "", ""); !errors.Is(err, ErrUnknown) {
		t.Errorf("without any artifact: %v", err)
	}
	var index v1.Index
	first := map[string]digest.Digest{}
	add := func(name string, titles ...string) digest.Digest {
		var m v1.Manifest
		for _, title := range titles {
			d := putBlob(t, dir, []byte(name+title))
			if first[name] == "" {
				first[name] = d
			}
			layer := v1.Descriptor{Digest: d}
			if title != "" {
				layer.Annotations = map[string]string{v1.AnnotationTitle: title}
			}
			m.Layers = append(m.Layers, layer)
		}
		m.Annotations = map[string]string{"of": name}
		d := putBlob(t, dir, asJSON(t, m))
		index.Manifests = append(index.Manifests, v1.Descriptor{Digest: d, Annotations: map[string]string{v1.AnnotationRefName: name}})
		return d
	}
	model := add("r.example/model:latest", "weights", "README")
	add("r.example/one:1", "")
	add("r.example/evil:1", "../../etc/passwd")
	add("r.example/twice:1", "a", "a")
	add("r.example/empty:1")
	if err := os.WriteFile(filepath.Join(dir, "index.json"), asJSON(t, index), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, title, digest, want, fault string }{
		{name: "r.example/model:latest", want: "weights README"},
		{name: "r.example/model", want: "weights README"},
		{name: "r.example/model@" + model.String(), want: "weights README"},
		{name: model.Encoded()[:12], want: "weights README"},
		{name: "r.example/model", title: "README", want: "README"},
		{name: "r.example/model", digest: first["r.example/model:latest"].String(), want: "weights"},
		{name: "r.example/model", title: "nosuch", fault: `no blob with the title "nosuch"`},
		{name: "r.example/model", digest: model.String(), fault: "no blob with the digest"},
		{name: "r.example/one:1", want: strings.ReplaceAll(first["r.example/one:1"].String(), ":", "-")},
		{name: "r.example/one", fault: "artifact does not exist"},
		{name: "r.example/other@" + model.String(), fault: "artifact does not exist"},
		{name: "r.example/evil:1", fault: "is no name of a file"},
		{name: "r.example/twice:1", fault: `more than one file is called "a"`},
		{name: "r.example/empty:1", fault: "there is no file in it"},
	} {
		blobs, err := Blobs(top, c.name, c.title, c.digest)
		var names []string
		for _, b := range blobs {
			names = append(names, b.Name)
			if _, err := os.Stat(b.Path); err != nil {
				t.Error(err)
			}
		}
		if got := strings.Join(names, " "); got != c.want || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s title=%s digest=%s: %q, %v", c.name, c.title, c.digest, got, err)
		}
	}
}

// TestBlobsDuringAPull: who pulls holds the lock of the index, and nobody who starts a container
// waits for it. An index of which one half is written is read again.
func TestBlobsDuringAPull(t *testing.T) {
	top := t.TempDir()
	dir := ArtifactDir(top)
	file := putBlob(t, dir, []byte("file"))
	manifest := putBlob(t, dir, asJSON(t, v1.Manifest{Layers: []v1.Descriptor{{Digest: file}}}))
	index := asJSON(t, v1.Index{Manifests: []v1.Descriptor{{Digest: manifest, Annotations: map[string]string{v1.AnnotationRefName: "r.example/a:1"}}}})
	path := filepath.Join(dir, "index.json")
	lock, err := lockfile.GetLockFile(filepath.Join(dir, "index.lock"))
	if err != nil {
		t.Fatal(err)
	}
	lock.Lock()
	defer lock.Unlock()
	got := make(chan error, 1)
	ask := func() {
		blobs, err := Blobs(top, "r.example/a:1", "", "")
		if err == nil && len(blobs) != 1 {
			err = errors.New("another number of files")
		}
		got <- err
	}
	wait := func() error {
		select {
		case err := <-got:
			return err
		case <-time.After(time.Minute):
			return errors.New("it waits for who pulls")
		}
	}
	if err := os.WriteFile(path, index, 0o600); err != nil {
		t.Fatal(err)
	}
	go ask()
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	// Whoever opens the pipe has one half of the index, and finds all of it afterwards.
	if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	go ask()
	half, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	whole := filepath.Join(dir, "whole")
	_, err = half.Write(index[:len(index)/2])
	if err := errors.Join(err, os.WriteFile(whole, index, 0o600), os.Rename(whole, path), half.Close()); err != nil {
		t.Fatal(err)
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
	// What stays broken is an error in the end.
	if err := os.WriteFile(path, index[:len(index)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	go ask()
	if err := wait(); err == nil || !strings.Contains(err.Error(), "index.json") {
		t.Errorf("half an index: %v", err)
	}
}
