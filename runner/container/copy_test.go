// SPDX-License-Identifier: Apache-2.0

package container

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.podman.io/storage/pkg/archive"
)

// archived makes an archive of headers; files have their own names in them.
func archived(t *testing.T, headers ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		h.Mode = 0o755
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// TestUnpackInside: a link of the container's leads where it leads inside, and has nothing made on
// the machine.
func TestUnpackInside(t *testing.T) {
	needsRoot(t)
	root, machine := t.TempDir(), t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(root, machine, "sub"), 0o700),
		os.Symlink(machine, filepath.Join(root, "link")),
	); err != nil {
		t.Fatal(err)
	}
	to := Place{Container: &Record{}}
	err := (&Engine{}).unpack(archived(t, tar.Header{Name: "./", Typeflag: tar.TypeDir}, tar.Header{Name: "file", Typeflag: tar.TypeReg}, tar.Header{Name: "dir/", Typeflag: tar.TypeDir},
		tar.Header{Name: "dir/again", Linkname: "file", Typeflag: tar.TypeLink}), root, "/link/sub", to, CopyOptions{KeepOwners: true})
	if err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(root, machine, "sub")
	if b, err := os.ReadFile(filepath.Join(inside, "dir/again")); err != nil || string(b) != "file" {
		t.Errorf("%q, %v", b, err)
	}
	if st, err := os.Stat(inside); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory itself: %v, %v", st.Mode(), err)
	}
	if _, err := os.Lstat(filepath.Join(machine, "sub")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("on the machine: %v", err)
	}
	for _, h := range []tar.Header{{Name: "../out", Typeflag: tar.TypeReg}, {Name: "a", Linkname: "../../out", Typeflag: tar.TypeLink}} {
		err := (&Engine{}).unpack(archived(t, h), root, "/link/sub", to, CopyOptions{KeepOwners: true})
		if err == nil || !strings.Contains(err.Error(), "outside of the directory") {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
}

// TestCutArchive: a file that is shorter than its size says is an error that tells so, of a copy
// and of an archive; some of /sys are. An archive that is to be unpacked has something in it.
func TestCutArchive(t *testing.T) {
	needsRoot(t)
	from, target := Place{Path: "/sys/kernel/mm"}, Place{Path: t.TempDir()}
	if err := (&Engine{}).Copy(t.Context(), from, target, CopyOptions{}); err == nil || !strings.Contains(err.Error(), ErrCut.Error()) {
		t.Errorf("a copy: %v", err)
	}
	if err := (&Engine{}).CopyOut(t.Context(), from, io.Discard); !errors.Is(err, ErrCut) {
		t.Errorf("an archive: %v", err)
	}
	content, err := packed(tree{Own: from.Path, Options: &archive.TarOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if _, err := io.Copy(io.Discard, content); err == nil || !strings.Contains(err.Error(), ErrCut.Error()) {
		t.Errorf("a tree: %v", err)
	}
	if err := (&Engine{}).CopyIn(t.Context(), strings.NewReader(""), target, CopyOptions{}); !errors.Is(err, ErrNoArchive) {
		t.Errorf("nothing at all: %v", err)
	}
	if err := (&Engine{}).CopyOut(t.Context(), Place{Path: target.Path + "/."}, io.Discard); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
}

// TestUnpackOnTheMachine: a container that makes of a directory a link while it is copied has nothing
// written where the link leads.
func TestUnpackOnTheMachine(t *testing.T) {
	needsRoot(t)
	target, machine := t.TempDir(), t.TempDir()
	content := archived(t, tar.Header{Name: "a", Linkname: machine, Typeflag: tar.TypeSymlink}, tar.Header{Name: "a/x", Typeflag: tar.TypeReg}, tar.Header{Name: "b", Typeflag: tar.TypeReg})
	// It may as well be an error.
	_ = (&Engine{}).unpack(content, "/", target, Place{Path: target}, CopyOptions{})
	if names, err := os.ReadDir(machine); err != nil || len(names) > 0 {
		t.Errorf("the link leads to %v, %v", names, err)
	}
	if err := (&Engine{}).unpack(archived(t, tar.Header{Name: "c", Typeflag: tar.TypeReg}), "/", target, Place{Path: target}, CopyOptions{}); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(target, "c")); err != nil || string(b) != "c" {
		t.Errorf("%q, %v", b, err)
	}
}
