// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	istorage "go.podman.io/image/v5/storage"
	"golang.org/x/sys/unix"
)

// TestSaveIsTheLibrarys: an archive written straight from the storage has the bytes that the
// library's has, and is read again.
func TestSaveIsTheLibrarys(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"/hello"}}, one(), map[string][]byte{"more": random(1, 100_000)})
	w.registry.push(t, "other:1", "", v1.ImageConfig{}, one(), map[string][]byte{"else": random(2, 1000)})
	app, other := w.pull("app:1"), w.pull("other:1")
	if err := w.Tag(app.ID, "mine:2"); err != nil {
		t.Fatal(err)
	}
	runtime, err := w.runtime()
	if err != nil {
		t.Fatal(err)
	}
	for i, names := range [][]string{{app.ID}, {w.name("app:1")}, {w.name("app:1"), "localhost/mine:2", w.name("app:1"), w.name("other:1")}, {other.ID, app.ID}} {
		ours, theirs := filepath.Join(w.dir, "ours.tar"), filepath.Join(w.dir, "theirs.tar")
		if err := errors.Join(w.Save(ctx, names, "docker-archive", ours, SendOptions{}), runtime.Save(ctx, names, "docker-archive", theirs, nil)); err != nil {
			t.Fatal(err)
		}
		a, aerr := os.ReadFile(ours)
		b, berr := os.ReadFile(theirs)
		if aerr != nil || berr != nil || len(a) < 100_000 && i != 3 || !bytes.Equal(a, b) {
			t.Errorf("%v: %d bytes, the library's %d; %v %v", names, len(a), len(b), aerr, berr)
		}
		if !isDockerArchive(ours) {
			t.Errorf("%v: it is not known again", names)
		}
		if err := errors.Join(os.Remove(theirs), os.Remove(ours)); err != nil {
			t.Fatal(err)
		}
	}
	// What fails does so for its own reason, and not since the file that stdout leads to cannot be
	// removed.
	stdout, err := os.Create(filepath.Join(w.dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.Save(gone, []string{app.ID}, "docker-archive", fmt.Sprintf("/proc/self/fd/%d", stdout.Fd()), SendOptions{}); !errors.Is(err, context.Canceled) || errors.Is(err, os.ErrPermission) {
		t.Errorf("a save that is cancelled: %v", err)
	}
	if err := w.Save(ctx, []string{"nosuch"}, "docker-archive", filepath.Join(w.dir, "x"), SendOptions{}); err == nil {
		t.Error("what is not there was saved")
	}
}

// TestSaveOfAList: of a list of manifests, this machine's image is saved, in each format, by the
// list's name.
func TestSaveOfAList(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"/hello"}}, one())
	app := w.pull("app:1")
	if _, err := w.CreateList("localhost/list:1"); err != nil {
		t.Fatal(err)
	}
	if err := w.Save(ctx, []string{"localhost/list:1"}, "docker-archive", filepath.Join(w.dir, "empty"), SendOptions{}); err == nil {
		t.Error("an empty list was saved")
	}
	if _, err := w.AddToList(ctx, "localhost/list:1", Listed{Image: "docker://" + w.name("app:1"), PullOptions: w.options()}); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"docker-archive", "oci-archive", "oci-dir", "docker-dir"} {
		if err := w.Save(ctx, []string{"localhost/list:1"}, format, filepath.Join(w.dir, format), SendOptions{}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
	if _, err := w.Remove(ctx, "localhost/list:1", RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	names, err := w.LoadArchive(ctx, filepath.Join(w.dir, "docker-archive"), nil)
	if err != nil || !slices.Equal(names, []string{"localhost/list:1"}) {
		t.Errorf("%q came, %v", names, err)
	}
	if back, _, err := w.Find("localhost/list:1"); err != nil || back.ID != app.ID {
		t.Errorf("%v came, %v", back, err)
	}
}

// TestFeaturesOfAList: what an image needs of a processor is in the list, or an error says why it
// can't be.
func TestFeaturesOfAList(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	app := Listed{Image: "docker://" + w.name("app:1"), PullOptions: w.options(), Features: []string{"sse4"}}
	w.pull("app:1")
	if _, err := w.CreateList("localhost/list:1"); err != nil {
		t.Fatal(err)
	}
	add := func(annotations map[string]string) error {
		app.Annotations = annotations
		_, err := w.AddToList(ctx, "localhost/list:1", app)
		return err
	}
	features := func() string {
		list, err := w.InspectList("localhost/list:1")
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, m := range list.Manifests {
			all += strings.Join(m.Platform.Features, ",") + " " + m.Digest.String()
		}
		return all
	}
	if err := add(map[string]string{"a": "b"}); err == nil || features() != "" {
		t.Errorf("features and an annotation: %v; %s", err, features())
	}
	if err := add(nil); err != nil || !strings.HasPrefix(features(), "sse4 ") {
		t.Errorf("%v; %s", err, features())
	}
	_, digest, _ := strings.Cut(features(), " ")
	annotated := Listed{Annotations: map[string]string{"a": "b"}}
	if _, err := w.AnnotateList("localhost/list:1", digest, annotated); err == nil || !strings.HasPrefix(features(), "sse4 ") {
		t.Errorf("an annotation beside features: %v; %s", err, features())
	}
	if _, err := w.RemoveFromList("localhost/list:1", digest); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AnnotateList("localhost/list:1", "", Listed{IndexAnnotations: annotated.Annotations}); err != nil {
		t.Fatal(err)
	}
	if err := add(nil); err == nil || features() != "" {
		t.Errorf("features in a list with an annotation: %v; %s", err, features())
	}
}

// TestSaveIsNotJudged: whatever policy.json says of what may come, what is there may be saved, in
// each format, and is what the library writes.
func TestSaveIsNotJudged(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"/hello"}}, one(), map[string][]byte{"more": random(1, 100_000)})
	w.pull("app:1")
	names := []string{w.name("app:1")}
	runtime, err := w.runtime()
	if err != nil {
		t.Fatal(err)
	}
	files := func(dir string) map[string]string {
		all := map[string]string{}
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			all[name] = string(text)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		return all
	}
	if err := errors.Join(os.Mkdir(filepath.Join(w.dir, "ours"), 0o700), os.Mkdir(filepath.Join(w.dir, "theirs"), 0o700)); err != nil {
		t.Fatal(err)
	}
	formats := []string{"docker-archive", "oci-archive", "oci-dir", "docker-dir"}
	for _, format := range formats {
		if err := runtime.Save(ctx, names, format, filepath.Join(w.dir, "theirs", format), nil); err != nil {
			t.Fatal(err)
		}
	}
	policy := filepath.Join(w.dir, "home", ".config", "containers", "policy.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(policy), 0o700), os.WriteFile(policy, []byte(`{"default":[{"type":"reject"}]}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := runtime.Save(ctx, names, "oci-dir", filepath.Join(w.dir, "refused"), nil); err == nil {
		t.Fatal("the policy rejects nothing")
	}
	for _, format := range formats {
		if err := w.Save(ctx, names, format, filepath.Join(w.dir, "ours", format), SendOptions{}); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
	for _, format := range []string{"oci-dir", "docker-dir"} {
		ours, theirs := files(filepath.Join(w.dir, "ours", format)), files(filepath.Join(w.dir, "theirs", format))
		if len(theirs) < 3 || !maps.Equal(ours, theirs) {
			t.Errorf("%s: %d files, the library's %d", format, len(ours), len(theirs))
		}
	}
	if err := w.Save(ctx, names, "bogus", filepath.Join(w.dir, "x"), SendOptions{}); err == nil {
		t.Error("a format that nobody knows")
	}
}

// TestLayersAreStreamed: the library would want a file of its own.
func TestLayersAreStreamed(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{}, one())
	img := w.pull("app:1")
	ref, err := istorage.Transport.ParseStoreReference(w.store, "@"+img.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.base.BigFilesTemporaryDir = filepath.Join(w.dir, "nosuch")
	src, err := streamed{ref, w.store}.NewImageSource(ctx, &w.base)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	layers, err := src.LayerInfosForCopy(ctx, nil)
	if err != nil || len(layers) != 1 {
		t.Fatal(layers, err)
	}
	blob, size, err := src.GetBlob(ctx, layers[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if b, err := io.ReadAll(blob); err != nil || int64(len(b)) != size || digest.FromBytes(b) != layers[0].Digest {
		t.Errorf("%d bytes of %d, %v", len(b), size, err)
	}
}

// TestWhatIsADockerArchive: anything else is left to the library, which tries everything.
func TestWhatIsADockerArchive(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]bool{"manifest.json": true, "a.tar manifest.json repositories": true, "oci-layout index.json": false, "manifest.json oci-layout": false, "a b": false, "": false} {
		path := filepath.Join(dir, "archive.tar")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		tw := tar.NewWriter(f)
		for _, name := range strings.Fields(content) {
			data := slices.Repeat([]byte{'x'}, 10_000)
			err := tw.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o600})
			if _, werr := tw.Write(data); err != nil || werr != nil {
				t.Fatal(err, werr)
			}
		}
		if err := errors.Join(tw.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		if isDockerArchive(path) != want {
			t.Errorf("%q: %t", content, !want)
		}
	}
	if isDockerArchive(dir) || isDockerArchive(filepath.Join(dir, "nosuch")) {
		t.Error("a directory, or nothing, is an archive")
	}
}

// TestOnDisk: only a file beside the storage is as fast as the storage.
func TestOnDisk(t *testing.T) {
	dir := t.TempDir()
	file, pipe, link := filepath.Join(dir, "file"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), unix.Mkfifo(pipe, 0o600), os.Symlink("/dev/full", link)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		file: true, filepath.Join(dir, "new"): true, pipe: false, link: false, dir: false,
		filepath.Join(dir, "nosuch", "new"): false, "/dev/stdout": false, "/proc/version": false, "/proc/new": false,
	} {
		if onDisk(path, dir) != want {
			t.Errorf("%s: %t", path, !want)
		}
	}
	if onDisk(file, "/proc") || onDisk(file, filepath.Join(dir, "nosuch")) {
		t.Error("a file on another file system than the storage")
	}
}

// TestRemoteManifest: a list of manifests is read where it is, and nothing is pulled; a single
// image is told from a list.
func TestRemoteManifest(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.registry.push(t, "app:1", "", v1.ImageConfig{Cmd: []string{"/hello"}}, one())
	const list = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"b"}}`
	w.registry.put("app:all", v1.MediaTypeImageIndex, []byte(list))
	text, isList, err := w.RemoteManifest(ctx, "docker://"+w.name("app:all"), w.options())
	if err != nil || !isList || string(text) != list {
		t.Errorf("a list: %s, %t, %v", text, isList, err)
	}
	if text, isList, err := w.RemoteManifest(ctx, w.name("app:1"), w.options()); err != nil || isList || !strings.Contains(string(text), `"layers"`) {
		t.Errorf("an image: %s, %t, %v", text, isList, err)
	}
	if _, _, err := w.RemoteManifest(ctx, w.name("app:none"), w.options()); err == nil {
		t.Error("what is not there was read")
	}
	if names, err := w.Names(); err != nil || len(names) > 0 {
		t.Errorf("pulled: %q, %v", names, err)
	}
}
