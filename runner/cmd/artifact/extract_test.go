// SPDX-License-Identifier: Apache-2.0

package artifact

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestUnpackBesideStranger writes files into a directory in which somebody else has put links and
// directories under their names. Nothing is written anywhere else, and nothing is left of what fails.
func TestUnpackBesideStranger(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	name := func(s string) string { return filepath.Join(dir, s) }
	if err := errors.Join(os.WriteFile(outside, []byte("mine"), 0o600), os.Symlink(outside, name("link")), os.WriteFile(name("old"), []byte("older and longer"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"link", "old", "new"} {
		if err := unpack(dir, archived(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if text, err := os.ReadFile(name(file)); err != nil || string(text) != "theirs" {
			t.Errorf("%s: %q, %v", file, text, err)
		}
	}
	for _, file := range []string{"..", ".", "../x", outside} {
		if err := unpack(dir, archived(t, file)); err == nil {
			t.Errorf("%s is written", file)
		}
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "mine" {
		t.Errorf("outside: %q, %v", text, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
}

func archived(t *testing.T, name string) *bytes.Buffer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 6}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("theirs")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}
