// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/hint"
)

// TestToFile: a new file has its name when all of it is written, one that is there is written anew,
// and after a failure there is none.
func TestToFile(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "new"), filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("of yesterday"), 0o600); err != nil {
		t.Fatal(err)
	}
	whole := func(name string) func(io.Writer) error {
		return func(w io.Writer) error {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is there before it is whole: %v", path, err)
			}
			_, err := io.WriteString(w, name)
			return err
		}
	}
	none := errors.New("no more")
	if err := (&Env{}).ToFile(t.Context(), path, func(io.Writer) error { return none }); !errors.Is(err, none) {
		t.Error(err)
	}
	for _, path := range []string{old, path} {
		if err := (&Env{}).ToFile(t.Context(), path, whole(path)); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != path {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	if err := (&Env{}).ToFile(t.Context(), path, func(io.Writer) error { return none }); !errors.Is(err, none) {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "old" {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// TestNamed: who was faster keeps the name.
func TestNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "archive")
	f := Unnamed(path)
	if f == nil {
		t.Fatal("no file")
	}
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Named(f, path, nil); !errors.Is(err, os.ErrExist) || !strings.Contains(hint.Of(err), "another name") {
		t.Errorf("%v; the way out: %q", err, hint.Of(err))
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "theirs" {
		t.Errorf("%q, %v", text, err)
	}
	if f := Unnamed(path); f != nil {
		t.Error("the name is taken")
		f.Close()
	}
}
