// SPDX-License-Identifier: Apache-2.0

package container

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.podman.io/storage/pkg/archive"
	"golang.org/x/sys/unix"
)

// files reads an archive: what each file is, and what is in it.
func files(t *testing.T, content io.ReadCloser, err error) map[string]string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	list := map[string]string{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		list[filepath.Clean(h.Name)] = string(text)
	}
	return list
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root mounts")
	}
}

// TestPack reads a layer as the storage does: what is removed, what takes the place of a directory,
// and what has changed.
func TestPack(t *testing.T) {
	needsRoot(t)
	own, below := t.TempDir(), t.TempDir()
	for _, dir := range []string{filepath.Join(own, "new"), filepath.Join(own, "opaque"), filepath.Join(below, "opaque")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{own + "/new/file": "text", own + "/opaque/mine": "m", below + "/opaque/old": "o", below + "/gone": "g"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	err := errors.Join(unix.Mknod(own+"/gone", unix.S_IFCHR, 0), os.Symlink("/etc", own+"/link"),
		unix.Setxattr(own+"/opaque", archive.GetOverlayXattrName("opaque"), []byte("y"), 0))
	if err != nil {
		t.Fatal(err)
	}
	content, err := packed(tree{Own: own, Below: []string{below}, Options: &archive.TarOptions{WhiteoutFormat: archive.OverlayWhiteoutFormat}})
	got := files(t, content, err)
	want := map[string]string{"new": "", "new/file": "text", "opaque": "", "opaque/.wh..wh..opq": "", "opaque/mine": "m", ".wh.gone": "", "link": ""}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	list, err := changes(tree{Own: own, Below: []string{below}})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range list {
		lines = append(lines, c.String())
	}
	slices.Sort(lines)
	plain, err := archive.OverlayChanges([]string{below}, own)
	if err != nil {
		t.Fatal(err)
	}
	var alike []string
	for _, c := range plain {
		alike = append(alike, c.String())
	}
	slices.Sort(alike)
	if len(lines) == 0 || !slices.Equal(lines, alike) {
		t.Errorf("%q\nwant %q", lines, alike)
	}
}

// TestPackBesideStranger: a container that exchanges a directory for a link while its tree is read
// gets nothing of the machine into the archive.
func TestPackBesideStranger(t *testing.T) {
	needsRoot(t)
	own, machine := t.TempDir(), t.TempDir()
	for dir, text := range map[string]string{filepath.Join(own, "dir"): "container", machine: "a secret!"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("f", i)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink(machine, filepath.Join(own, "link")); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, own+"/dir", unix.AT_FDCWD, own+"/link", unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 20 {
		content, err := packed(tree{Own: own, Options: &archive.TarOptions{}})
		if err != nil {
			t.Fatal(err)
		}
		// What goes meanwhile may be an error.
		all, _ := io.ReadAll(content)
		content.Close()
		if bytes.Contains(all, []byte("a secret!")) {
			t.Error("a file of the machine is in the archive")
			break
		}
	}
	close(stop)
	<-ended
}

// TestPackFails says what it cannot read, and does not end as if that were all.
func TestPackFails(t *testing.T) {
	needsRoot(t)
	content, err := packed(tree{Own: filepath.Join(t.TempDir(), "none"), Options: &archive.TarOptions{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(content); err == nil || !bytes.Contains([]byte(err.Error()), []byte("no such file or directory")) {
		t.Errorf("%v", err)
	}
	content.Close()
}
