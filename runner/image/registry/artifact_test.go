// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image"
	"go.podman.io/common/pkg/libartifact"
	"go.podman.io/common/pkg/libartifact/types"
)

// TestArtifacts: what a registry has is fetched into the place where podman keeps artifacts, files
// come out as they went in, and what is not there is told by its name.
func TestArtifacts(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	w.registry.push(t, "model:1", "", v1.ImageConfig{}, one())
	o := SendOptions{PullOptions: w.options()}
	id, err := w.PullArtifact(ctx, w.name("model:1"), o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "graph/artifacts/blobs/sha256", id)); err != nil {
		t.Error(err)
	}
	store, err := w.Artifacts()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := libartifact.NewArtifactStorageReference(id[:12])
	if err != nil {
		t.Fatal(err)
	}
	if a, err := store.Inspect(ctx, ref); err != nil || a.Name != w.name("model:1") || a.Digest.Encoded() != id {
		t.Errorf("%+v, %v", a, err)
	}
	file := filepath.Join(w.dir, "weights")
	if err := os.WriteFile(file, []byte("1 2 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	named, err := libartifact.NewArtifactReference("localhost/own:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Add(ctx, named, []types.ArtifactBlob{{BlobFilePath: file, FileName: "weights"}}, &types.AddOptions{Annotations: map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(w.dir, "out")
	if err := store.Extract(ctx, named.ToArtifactStoreReference(), out, &types.ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(out); err != nil || string(text) != "1 2 3\n" {
		t.Errorf("%q, %v", text, err)
	}
	if all, err := store.List(ctx); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	_, err = w.PullArtifact(ctx, w.name("nosuch:1"), o)
	if e := (*image.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("%T %v", err, err)
	}
	if _, err := w.PullArtifact(ctx, "short", o); err == nil || !strings.Contains(err.Error(), "short") {
		t.Errorf("a name without a registry: %v", err)
	}
}

// TestArtifactsAfterACut: a torn list of artifacts, and a lost manifest, hold up neither those that
// are whole nor a pull. A copy tells what there was before.
func TestArtifactsAfterACut(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	w.registry.push(t, "model:1", "", v1.ImageConfig{}, one())
	w.registry.push(t, "model:2", "", v1.ImageConfig{}, map[string][]byte{"two": []byte("two")})
	o := SendOptions{PullOptions: w.options()}
	dir := image.ArtifactDir(filepath.Join(w.dir, "graph"))
	list := filepath.Join(dir, "index.json")
	names := func() (names []string) {
		store, err := w.Artifacts()
		if err != nil {
			t.Fatal(err)
		}
		all, err := store.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			names = append(names, strings.TrimPrefix(a.Name, w.registry.host))
		}
		return names
	}
	pull := func(name string) string {
		t.Helper()
		id, err := w.PullArtifact(ctx, w.name(name), o)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := pull("model:1")
	if got := names(); len(got) != 1 {
		t.Fatalf("%q", got)
	}
	// A cut in the middle of the next change.
	second := pull("model:2")
	if err := os.Truncate(list, 20); err != nil {
		t.Fatal(err)
	}
	if blobs, err := image.Blobs(filepath.Join(w.dir, "graph"), w.name("model:1"), "", ""); err != nil || len(blobs) != 1 {
		t.Errorf("a start finds %v, %v", blobs, err)
	}
	if got := names(); len(got) != 1 || got[0] != "/model:1" {
		t.Errorf("after a cut: %q", got)
	}
	pull("model:2")
	if err := os.Truncate(filepath.Join(dir, "blobs/sha256", second), 0); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(); len(got) != 1 || got[0] != "/model:1" {
		t.Errorf("without the second's manifest: %q", got)
	}
	if old, err := os.ReadFile(list + ".damaged"); err != nil || string(old) != string(whole) {
		t.Errorf("the list as it was: %q, %v", old, err)
	}
	if err := errors.Join(os.Truncate(list, 0), os.Truncate(image.KeptList(list), 0)); err != nil {
		t.Fatal(err)
	}
	if got := names(); len(got) != 0 {
		t.Errorf("without both: %q", got)
	}
	if again := pull("model:1"); again != first || len(names()) != 1 {
		t.Errorf("%s, %q", again, names())
	}
}

// TestKilledArtifactChange: a change that was killed is completed or taken back, and no copy of the
// list stays; a cut that comes later is told.
func TestKilledArtifactChange(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "model:1", "", v1.ImageConfig{}, one())
	w.registry.push(t, "model:2", "", v1.ImageConfig{}, map[string][]byte{"two": []byte("two")})
	dir := image.ArtifactDir(filepath.Join(w.dir, "graph"))
	list := filepath.Join(dir, "index.json")
	pull := func(name string) (manifest string) {
		id, err := w.PullArtifact(t.Context(), w.name(name), SendOptions{PullOptions: w.options()})
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, "blobs/sha256", id)
	}
	first, second := pull("model:1"), pull("model:2")
	note := filepath.Join(w.changing(), "killed")
	killed := func(what string, do func() error) {
		t.Helper()
		var before, during []byte
		err := w.ChangeArtifacts(func(*libartifact.ArtifactStore) (err error) {
			before, err = os.ReadFile(list)
			if err == nil {
				err = do()
			}
			if err == nil {
				during, err = os.ReadFile(theNote(t, w.changing()))
			}
			return err
		})
		if err == nil {
			err = os.WriteFile(note, during, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		said, err := keepArtifacts(dir, w.changing())
		if err != nil || len(said) > 0 {
			t.Errorf("%s: %v, said %q", what, err, said)
		}
		after, err := readList(list)
		if want := strings.Count(string(before), "digest") - strings.Count(what, "manifest"); err != nil || len(after.Manifests) != want {
			t.Errorf("%s: %d artifacts, not %d: %v", what, len(after.Manifests), want, err)
		}
		for _, path := range []string{note, damagedList(list)} {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s is there: %v", what, path, err)
			}
		}
	}
	killed("before it wrote", func() error { return nil })
	killed("in the middle of the list", func() error { return os.Truncate(list, 20) })
	killed("when the manifest was gone", func() error { return os.Remove(second) })
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if said, err := keepArtifacts(dir, w.changing()); err != nil || len(said) != 2 {
		t.Errorf("a manifest that nobody has removed: %v, said %q", err, said)
	}
}

// TestArtifactNoteIsWhole: nobody finds a note that says nothing, which a kill would leave for ever.
func TestArtifactNoteIsWhole(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "changes")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 2000 {
			noteChange(notes, "/graph/artifacts")()
		}
	}()
	for seen := 0; ; {
		entries, _ := os.ReadDir(notes)
		for _, e := range entries {
			if text, err := os.ReadFile(filepath.Join(notes, e.Name())); err == nil {
				seen++
				if string(text) != "/graph/artifacts" {
					t.Fatalf("a note says %q", text)
				}
			}
		}
		select {
		case <-ended:
			if seen == 0 {
				t.Error("no note was seen")
			}
			return
		default:
		}
	}
}

// theNote is the only note of a change.
func theNote(t *testing.T, notes string) string {
	t.Helper()
	files, err := os.ReadDir(notes)
	if err != nil || len(files) != 1 {
		t.Fatalf("notes: %v, %v", files, err)
	}
	return filepath.Join(notes, files[0].Name())
}

// TestArtifactChangesBeside: who looks at artifacts, or ends a change of them, leaves the note of
// one that is changing them, and of one of another storage that was killed.
func TestArtifactChangesBeside(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "model:1", "", v1.ImageConfig{}, one())
	if _, err := w.PullArtifact(t.Context(), w.name("model:1"), SendOptions{PullOptions: w.options()}); err != nil {
		t.Fatal(err)
	}
	beside := func() error {
		_, err := w.Artifacts()
		return errors.Join(err, w.ChangeArtifacts(func(*libartifact.ArtifactStore) error { return nil }))
	}
	err := w.ChangeArtifacts(func(*libartifact.ArtifactStore) error {
		note := theNote(t, w.changing())
		if err := beside(); err != nil {
			return err
		}
		if now := theNote(t, w.changing()); now != note {
			t.Errorf("the note of a change under way was %s, and is %s", note, now)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(w.changing(), "theirs")
	if err := os.WriteFile(theirs, []byte("/other/storage/artifacts"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := beside(); err != nil {
		t.Fatal(err)
	}
	if now := theNote(t, w.changing()); now != theirs {
		t.Errorf("left: %s", now)
	}
}

// TestArtifactLeftovers: a prune takes what a killed pull has left of an artifact, and neither what
// an artifact has nor what may be one's in a moment.
func TestArtifactLeftovers(t *testing.T) {
	w, ctx := newWorld(t), context.Background()
	w.registry.push(t, "model:1", "", v1.ImageConfig{}, one())
	if _, err := w.PullArtifact(ctx, w.name("model:1"), SendOptions{PullOptions: w.options()}); err != nil {
		t.Fatal(err)
	}
	dir := image.ArtifactDir(filepath.Join(w.dir, "graph"))
	before, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err != nil || len(before) < 3 {
		t.Fatalf("%v, %v", before, err)
	}
	old := time.Now().Add(-2 * asideAge)
	for _, path := range append(before, filepath.Join(dir, "oci-put-blob1"), filepath.Join(dir, "blobs/sha256/dead")) {
		if _, err := os.Stat(path); err != nil {
			if err := os.WriteFile(path, make([]byte, 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	young := filepath.Join(dir, "blobs/sha256/young")
	if err := os.WriteFile(young, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, freed, err := w.Prune(ctx, false, nil); err != nil || freed != 2000 {
		t.Errorf("%d, %v", freed, err)
	}
	after, err := filepath.Glob(filepath.Join(dir, "*blob*"))
	blobs, berr := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
	if err := errors.Join(err, berr); err != nil || len(after) != 1 || !slices.Equal(slices.Sorted(slices.Values(blobs)), slices.Sorted(slices.Values(append(before, young)))) {
		t.Errorf("%v, %v, %v", after, blobs, err)
	}
}

// TestArtifactsUnread: what cannot be read is not lost, and takes nothing from the list; what
// cannot be kept is a warning; what is damaged holds up no prune.
func TestArtifactsUnread(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "model:1", "", v1.ImageConfig{}, one())
	id, err := w.PullArtifact(t.Context(), w.name("model:1"), SendOptions{PullOptions: w.options()})
	if err != nil {
		t.Fatal(err)
	}
	dir := image.ArtifactDir(filepath.Join(w.dir, "graph"))
	list, blob := filepath.Join(dir, "index.json"), filepath.Join(dir, "blobs/sha256", id)
	before, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	// A directory stands for all that keeps a file from being read.
	if err := errors.Join(os.Rename(blob, blob+".aside"), os.Mkdir(blob, 0o700)); err != nil {
		t.Fatal(err)
	}
	if said, err := keepArtifacts(dir, ""); err == nil || !strings.Contains(err.Error(), "directory") || len(said) != 0 {
		t.Errorf("a manifest that is not read: %q, %v", said, err)
	}
	if after, err := os.ReadFile(list); err != nil || string(after) != string(before) {
		t.Errorf("the list is now %q, %v", after, err)
	}
	if err := os.WriteFile(list, bytes.Replace(before, []byte(`"manifests":[`), []byte(`"manifests":[{"digest":"odd"},`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := keepArtifacts(dir, ""); err == nil || len(said) != 0 {
		t.Errorf("beside one that is lost: %q, %v", said, err)
	}
	if err := os.WriteFile(list, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(blob), os.Rename(blob+".aside", blob), os.RemoveAll(image.KeptList(list)), os.Mkdir(image.KeptList(list), 0o700)); err != nil {
		t.Fatal(err)
	}
	if said, err := keepArtifacts(dir, ""); err != nil || len(said) != 1 || !strings.Contains(said[0], "has no copy") {
		t.Errorf("a copy that cannot be kept: %q, %v", said, err)
	}
	odd := []byte(`{"schemaVersion":2,"config":{"digest":"odd"},"layers":[{"digest":""}]}`)
	d := digest.FromBytes(odd)
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "blobs/sha256", d.Encoded()), odd, 0o600),
		os.WriteFile(list, []byte(`{"schemaVersion":2,"manifests":[{"digest":"`+d.String()+`"}]}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := dropArtifactFiles(dir, asideAge); err != nil {
		t.Errorf("a manifest with an odd digest: %v", err)
	}
	for _, text := range []string{`{"manifests":[{"digest":"odd"}]}`, `{"manifests":[{"digest":"` + strings.Replace(d.String(), d.Encoded()[:1], "g", 1) + `"}]}`, "{"} {
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if freed, err := dropArtifactFiles(dir, 0); err != nil || freed != 0 {
			t.Errorf("%s: %d freed, %v", text, freed, err)
		}
	}
}

// TestArtifactOfASilentRegistry: nobody waits for a registry for ever, nor for who waits for it.
func TestArtifactOfASilentRegistry(t *testing.T) {
	for name, silence := range map[string]func(*registry, pushed){
		"from the first request on":  func(r *registry, _ pushed) { r.mute = true },
		"in the middle of a layer":   func(r *registry, p pushed) { r.hang[p.layers[0]] = 100_000 },
		"a few bytes a second":       func(r *registry, _ pushed) { r.rate = 500 },
		"slow, but not by that much": func(r *registry, _ pushed) { r.rate = 100_000 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			silence(w.registry, w.registry.push(t, "model:1", "", v1.ImageConfig{}, map[string][]byte{"big": random(1, 200_000)}))
			o := SendOptions{PullOptions: w.options()}
			o.Stall = 2 * time.Second
			_, err := w.PullArtifact(t.Context(), w.name("model:1"), o)
			var stall *image.StallError
			if fine := strings.HasPrefix(name, "slow"); fine && err != nil || !fine && (!errors.As(err, &stall) || stall.Host != w.registry.host) {
				t.Errorf("%v", err)
			}
		})
	}
}
