// SPDX-License-Identifier: Apache-2.0

package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/cli"
)

// full is a disk without room.
type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestThroughPipe: all comes out, also where the writer holds both ends, as the library does; an
// output that fails is the error, and nobody waits for it; and a writer that fails before it begins
// is not waited for.
func TestThroughPipe(t *testing.T) {
	archive := bytes.Repeat([]byte("podunit"), 100_000)
	write := func(_ context.Context, path string) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(archive)
		return errors.Join(err, f.Close())
	}
	var out bytes.Buffer
	if err := throughPipe(t.Context(), filepath.Join(t.TempDir(), "archive"), &out, write); err != nil || !bytes.Equal(out.Bytes(), archive) {
		t.Errorf("%v: %d of %d bytes", err, out.Len(), len(archive))
	}
	if err := throughPipe(t.Context(), filepath.Join(t.TempDir(), "archive"), full{}, write); !errors.Is(err, errFull) {
		t.Errorf("an output without room: %v", err)
	}
	none := errors.New("no such image")
	if err := throughPipe(t.Context(), filepath.Join(t.TempDir(), "archive"), &out, func(context.Context, string) error { return none }); !errors.Is(err, none) {
		t.Errorf("a writer that fails: %v", err)
	}
}

// TestEmptyFile: an archive goes straight into the file that stdout leads to, if there is nothing
// in it.
func TestEmptyFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := &cli.Env{Stdout: f}
	straight := func(_ context.Context, path string) error { return os.WriteFile(path, []byte("archive"), 0) }
	if err := toStdout(t.Context(), e, nil, true, straight); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(", and more"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "archive, and more" {
		t.Errorf("%q, %v", got, err)
	}
	if path := emptyFile(f); path != "" {
		t.Errorf("what is in the file would be lost: %s", path)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if path := emptyFile(w); path != "" {
		t.Errorf("a pipe is no file: %s", path)
	}
}

// TestPathOf: an archive that is a file needs no copy, unless something of it has been read.
func TestPathOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := pathOf(f); got != path {
		t.Errorf("got %q, want %q", got, path)
	}
	if _, err := f.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if got := pathOf(f); got != "" {
		t.Errorf("half read, it is %q", got)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := pathOf(f); got != "" {
		t.Errorf("without a name, it is %q", got)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if got := pathOf(r); got != "" {
		t.Errorf("a pipe is %q", got)
	}
}

// TestToNamed: a new archive has its name once it is whole; a directory, and a file that is there,
// the library writes where they are.
func TestToNamed(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ format, path, written string }{
		{"docker-archive", filepath.Join(dir, "new"), ""},
		{"docker-archive", there, there},
		{"oci-dir", filepath.Join(dir, "directory"), filepath.Join(dir, "directory")},
	} {
		write := func(_ context.Context, path string) error {
			if c.written != "" && path != c.written {
				t.Errorf("%s to %s is written to %s", c.format, c.path, path)
			}
			if _, err := os.Lstat(c.path); c.written == "" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there before it is whole: %v", c.path, err)
			}
			return os.WriteFile(path, []byte("archive"), 0o600)
		}
		if err := toNamed(t.Context(), &cli.Env{}, nil, c.format, c.path, write); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(c.path); err != nil || string(got) != "archive" {
			t.Errorf("%s: %q, %v", c.path, got, err)
		}
	}
	none := errors.New("no such image")
	path := filepath.Join(dir, "failed")
	if err := toNamed(t.Context(), &cli.Env{}, nil, "docker-archive", path, func(context.Context, string) error { return none }); !errors.Is(err, none) {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a failure: %v", err)
	}
}
