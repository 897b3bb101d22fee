// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.podman.io/storage/pkg/reexec"
)

// TestMain: what packs and unpacks is this program, executed again.
func TestMain(m *testing.M) {
	if reexec.Init() {
		return
	}
	os.Exit(m.Run())
}

func TestExportAndImport(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("what packs and unpacks enters a root directory of its own")
	}
	ctx, v, outside := context.Background(), New(t.TempDir()), filepath.Join(t.TempDir(), "outside")
	from, err := v.Create("from", Options{})
	if err != nil {
		t.Fatal(err)
	}
	into, err := v.Create("into", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(outside, []byte("secret"), 0o600), os.WriteFile(filepath.Join(from.Dir, "a"), []byte("new"), 0o640), os.Chown(filepath.Join(from.Dir, "a"), 12, 34),
		os.Symlink(outside, filepath.Join(from.Dir, "link")), os.WriteFile(filepath.Join(into.Dir, "a"), []byte("old"), 0o600), os.WriteFile(filepath.Join(into.Dir, "b"), nil, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	var plain, packed bytes.Buffer
	if err := v.Export("from", &plain); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for in := tar.NewReader(bytes.NewReader(plain.Bytes())); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[strings.TrimPrefix(h.Name, "./")] = true
		if h.Name == "link" && h.Linkname != outside {
			t.Errorf("the link became %+v", h)
		}
	}
	if !names["a"] || !names["link"] {
		t.Errorf("the archive has %v", names)
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	if err := v.Import(ctx, "into", &packed); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(into.Dir, "a")); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(into.Dir, "b")); err != nil {
		t.Errorf("what was there is gone: %v", err)
	}
	// An archive that leads out of the volume by a link of its own.
	var evil bytes.Buffer
	tw := tar.NewWriter(&evil)
	err = errors.Join(tw.WriteHeader(&tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: filepath.Dir(outside)}), tw.WriteHeader(&tar.Header{Name: "out/outside", Size: 1, Mode: 0o600}))
	if _, werr := tw.Write([]byte("x")); err != nil || werr != nil || tw.Close() != nil {
		t.Fatal(err, werr)
	}
	_ = v.Import(ctx, "into", &evil) // refused or kept inside, as long as it stays there
	if b, err := os.ReadFile(outside); err != nil || string(b) != "secret" {
		t.Errorf("a file outside of the volume is %q, %v", b, err)
	}
	if err := v.Export("nosuch", io.Discard); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := v.Import(ctx, "nosuch", &plain); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := v.Import(ctx, "into", strings.NewReader("no archive, but a text that goes on for a while")); err == nil {
		t.Error("a text was unpacked")
	}
	if _, err := v.Create("bound", Options{Options: map[string]string{"type": "bind", "device": "/srv"}}); err != nil {
		t.Fatal(err)
	}
	if err := v.Export("bound", io.Discard); err == nil || !strings.Contains(err.Error(), "stands for something") {
		t.Errorf("got %v", err)
	}
}
