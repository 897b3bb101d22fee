// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"go.podman.io/storage/pkg/reexec"
	"golang.org/x/sys/unix"
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

// faulty are files of which one name cannot be opened.
type faulty struct {
	fstest.MapFS
	name string
	err  error
}

func (f faulty) Open(name string) (fs.File, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: f.err}
	}
	return f.MapFS.Open(name)
}

func (f faulty) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == f.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: f.err}
	}
	return f.MapFS.ReadDir(name)
}

// TestReadable: a file or a directory that cannot be read is an error, one that is gone by now is
// none.
func TestReadable(t *testing.T) {
	files := fstest.MapFS{"a": {}, "d/b": {}, "link": {Mode: fs.ModeSymlink, Data: []byte("nowhere")}, "pipe": {Mode: fs.ModeNamedPipe}}
	for _, name := range []string{"none", "link", "pipe", "a", "d/b", "d"} {
		opened := name == "a" || name == "d/b" || name == "d"
		for _, fault := range []error{fs.ErrPermission, errors.New("input/output error"), fs.ErrNotExist} {
			err := readableFS(faulty{files, name, fault})
			if want := opened && !errors.Is(fault, fs.ErrNotExist); (err != nil) != want || want && (!errors.Is(err, fault) || !strings.Contains(err.Error(), name)) {
				t.Errorf("%s with %q: got %v", name, fault, err)
			}
		}
	}
}

// TestExportOfWhatCannotBeRead: what would miss in the archive fails the export, before anything is
// written.
func TestExportOfWhatCannotBeRead(t *testing.T) {
	top := t.TempDir()
	v := New(top)
	vol, err := v.Create("v", Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(vol.Dir, "closed"), 0); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		asNobody(t, filepath.Dir(top))
	}
	var out bytes.Buffer
	if err := v.Export("v", &out); !errors.Is(err, fs.ErrPermission) || out.Len() > 0 || !strings.Contains(err.Error(), "export volume v: ") {
		t.Errorf("got %v and %d bytes", err, out.Len())
	}
}

// asNobody gives a directory with all that is in it to nobody, and makes root be nobody for files
// until the test ends: root reads everything. It is so for the test's own thread only.
func asNobody(t *testing.T, dir string) {
	t.Helper()
	const nobody = 65534
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	if err := unix.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setfsuid(0); err != nil {
			t.Error(err)
		}
	})
}
