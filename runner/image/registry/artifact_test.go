// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
