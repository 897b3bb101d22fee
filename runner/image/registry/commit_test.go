// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/podunit/podunit/runner/image/download"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/storage"
)

func TestConfigured(t *testing.T) {
	parent := map[string]json.RawMessage{}
	const text = `{"architecture":"arm64","os":"linux","author":"them","config":{"Env":["A=1"],"Cmd":["old"],"Healthcheck":{"Test":["CMD","true"]}},` +
		`"history":[{"created_by":"base"}],"rootfs":{"type":"layers","diff_ids":["sha256:old"]}}`
	if err := json.Unmarshal([]byte(text), &parent); err != nil {
		t.Fatal(err)
	}
	d := digest.FromString("layer")
	c := Commit{
		Author: "me", Message: "done", Docker: true, Changes: []string{"CMD [\"new\"]", "ENV B=2", "LABEL x=y", "EXPOSE 80"},
		Config: ispec.ImageConfig{Env: []string{"A=1"}, Cmd: []string{"old"}, WorkingDir: "/srv"},
	}
	blob, err := configured(c, parent, []*storage.Layer{{UncompressedDigest: d}}, time.Unix(1, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Architecture, Author, Comment string
		Config                        struct {
			ispec.ImageConfig
			Healthcheck json.RawMessage
		}
		RootFS  ispec.RootFS
		History []ispec.History
	}
	if err := json.Unmarshal(blob, &got); err != nil {
		t.Fatal(err)
	}
	if got.Architecture != "arm64" || got.Author != "me" || got.Comment != "done" {
		t.Errorf("%s", blob)
	}
	if in := got.Config; len(in.Cmd) != 1 || in.Cmd[0] != "new" || len(in.Env) != 2 || in.WorkingDir != "/srv" || in.Labels["x"] != "y" || len(in.ExposedPorts) != 1 {
		t.Errorf("%s", blob)
	}
	if string(got.Config.Healthcheck) != `{"Test":["CMD","true"]}` {
		t.Errorf("the health check of the image is lost: %s", blob)
	}
	if len(got.RootFS.DiffIDs) != 1 || got.RootFS.DiffIDs[0] != d || len(got.History) != 2 {
		t.Errorf("%s", blob)
	}
	for change, want := range map[string]string{"STOPSIGNAL KILL": "KILL", "stopsignal=SIGTERM": "SIGTERM", "STOPSIGNAL 9": "9", "USER me": "INT"} {
		if c, err := changed(ispec.ImageConfig{StopSignal: "INT"}, []string{change}); err != nil || c.StopSignal != want {
			t.Errorf("%s: the stop signal is %q, %v", change, c.StopSignal, err)
		}
	}
	if _, err := configured(Commit{Changes: []string{"COPY a b"}}, parent, nil, time.Now()); err == nil {
		t.Error("COPY is no change")
	}
}

func TestCommitRefusesMessageInOCI(t *testing.T) {
	if _, err := (&Images{}).Commit(t.Context(), Commit{Message: "x"}); !errors.Is(err, ErrMessage) {
		t.Errorf("%v", err)
	}
}

func TestLocalName(t *testing.T) {
	for written, want := range map[string]string{
		"app": "localhost/app:latest", "app:1": "localhost/app:1", "team/app": "localhost/team/app:latest",
		"quay.io/team/app:1": "quay.io/team/app:1", "localhost/app": "localhost/app:latest", "localhost:5000/app": "localhost:5000/app:latest",
	} {
		named, err := reference.ParseNormalizedNamed(written)
		if err != nil {
			t.Fatal(err)
		}
		if got := localName(written, reference.TagNameOnly(named)); got != want {
			t.Errorf("%s is %s, want %s", written, got, want)
		}
	}
}

func TestOneLine(t *testing.T) {
	err := oneLine(errors.New("2 errors occurred:\n\t* one: refused\n\t* two: no such host\n\n"))
	if err.Error() != "one: refused; two: no such host" {
		t.Errorf("%q", err)
	}
	if err := oneLine(storage.ErrImageUnknown); !errors.Is(err, storage.ErrImageUnknown) {
		t.Errorf("%v", err)
	}
}

// TestCommittedLayersHaveTheIDsOfPulledOnes: an image that was committed and pushed can be pulled
// again, which fails where the layer of its ID is another one.
func TestCommittedLayersHaveTheIDsOfPulledOnes(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", ispec.ImageConfig{}, one())
	parent := w.pull("app:1")
	var diff bytes.Buffer
	out := tar.NewWriter(&diff)
	if err := errors.Join(out.WriteHeader(&tar.Header{Name: "made", Mode: 0o644, Typeflag: tar.TypeReg}), out.Close()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []Commit{{Parent: parent.ID}, {Parent: parent.ID, Author: "another"}, {Parent: parent.ID, Squash: true}} {
		c.Layer = bytes.NewReader(diff.Bytes())
		id, err := w.Commit(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		made, err := w.store.Image(id)
		if err != nil {
			t.Fatal(err)
		}
		want := digest.FromBytes(diff.Bytes()).Encoded()
		if !c.Squash {
			base, err := w.store.Image(parent.ID)
			if err != nil {
				t.Fatal(err)
			}
			want = digest.FromString(base.TopLayer + "+" + want).Encoded()
		}
		if made.TopLayer != want {
			t.Errorf("%+v: the layer is %s, want %s", c, made.TopLayer, want)
		}
	}
}

// TestKilledCommit: while a commit goes on, no prune takes its layer, and when it is killed the next
// prune does; it is marked, so that half an image goes at once.
func TestKilledCommit(t *testing.T) {
	w := newWorld(t)
	w.registry.push(t, "app:1", "", ispec.ImageConfig{}, one())
	parent, err := w.store.Image(w.pull("app:1").ID)
	if err != nil {
		t.Fatal(err)
	}
	own, err := download.Open(w.store)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	var diff bytes.Buffer
	out := tar.NewWriter(&diff)
	if err := errors.Join(out.WriteHeader(&tar.Header{Name: "made", Mode: 0o644, Typeflag: tar.TypeReg}), out.Close()); err != nil {
		t.Fatal(err)
	}
	marked := false
	looks := readerFunc(func(into []byte) (int, error) {
		marks, err := fs.Glob(own.FS(), "making-*")
		marked = err == nil && len(marks) == 1
		return 0, errKilled
	})
	if _, err := w.Commit(t.Context(), Commit{Parent: parent.ID, Layer: looks}); !errors.Is(err, errKilled) || !marked {
		t.Errorf("marked: %v; %v", marked, err)
	}
	err = w.making(t.Context(), func(own *os.Root, note *download.Note) error {
		if _, made, err := w.putLayer(own, note, parent.TopLayer, &diff); err != nil || !made {
			t.Fatalf("made: %v, %v", made, err)
		}
		if _, _, err := w.Prune(t.Context(), false, nil); err != nil {
			return err
		}
		w.layers(2)
		return errKilled
	})
	if !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	if _, _, err := w.Prune(t.Context(), false, nil); err != nil {
		t.Error(err)
	}
	w.layers(1)
	if left := append(w.files(), w.notes()...); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(into []byte) (int, error) { return f(into) }
