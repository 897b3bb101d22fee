// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// content puts what an image has into dir.
func content(dir string) (bool, error) {
	return true, errors.Join(
		os.MkdirAll(filepath.Join(dir, "conf"), 0o755),
		os.WriteFile(filepath.Join(dir, "conf", "main"), []byte("image"), 0o644),
		os.WriteFile(filepath.Join(dir, "authorized_keys"), []byte("image"), 0o644),
		os.Chown(dir, 7, 8), os.Chmod(dir, 0o750|os.ModeSticky),
	)
}

func TestFill(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	x, _, err := v.Ensure(t.Context(), "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := x.Dir
	if err := v.Fill(t.Context(), x, content); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "conf", "main")); err != nil || string(b) != "image" {
		t.Errorf("%q, %v", b, err)
	}
	uid, gid, mode := ownerOf(t, dir)
	if uid != 7 || gid != 8 || mode != 0o1750 {
		t.Errorf("owner %d:%d, mode %o", uid, gid, mode)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
	err = v.Fill(t.Context(), x, func(string) (bool, error) {
		t.Error("a volume with something in it is filled again")
		return false, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFillBesideStranger has another container put links into the volume while it is being
// filled. Nothing is written through them, and they stay.
func TestFillBesideStranger(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	x, _, err := v.Ensure(t.Context(), "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := x.Dir
	outside := t.TempDir()
	precious := filepath.Join(outside, "authorized_keys")
	if err := os.WriteFile(precious, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = v.Fill(t.Context(), x, func(into string) (bool, error) {
		if _, err := os.Lstat(filepath.Join(dir, "authorized_keys")); err == nil {
			t.Error("the volume is filled where containers see it")
		}
		if err := errors.Join(os.Symlink(precious, filepath.Join(dir, "authorized_keys")), os.Symlink(outside, filepath.Join(dir, "conf"))); err != nil {
			t.Error(err)
		}
		return content(into)
	})
	if err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "precious" {
		t.Errorf("the file of the host: %q, %v", b, err)
	}
	if _, err := os.Lstat(filepath.Join(outside, "main")); err == nil {
		t.Error("a file was written through a link")
	}
	if target, err := os.Readlink(filepath.Join(dir, "conf")); err != nil || target != outside {
		t.Errorf("the container's link: %q, %v", target, err)
	}
}

// TestFillCut cuts the filling at its moments: the next one makes it whole.
func TestFillCut(t *testing.T) {
	needRoot(t)
	for name, cut := range map[string]func(base string) error{
		"while copying": func(base string) error {
			return errors.Join(os.Mkdir(filepath.Join(base, filling), 0o755), os.WriteFile(filepath.Join(base, filling, "half"), nil, 0o600))
		},
		"before moving": func(base string) error {
			err := os.Mkdir(filepath.Join(base, filled), 0o755)
			_, cerr := content(filepath.Join(base, filled))
			return errors.Join(err, cerr)
		},
		"while moving": func(base string) error {
			err := os.Mkdir(filepath.Join(base, filled), 0o755)
			_, cerr := content(filepath.Join(base, filled))
			return errors.Join(err, cerr, os.Rename(filepath.Join(base, filled, "conf"), filepath.Join(base, data, "conf")))
		},
	} {
		v := New(t.TempDir())
		x, _, err := v.Ensure(t.Context(), "x", Options{})
		if err != nil {
			t.Fatal(err)
		}
		dir := x.Dir
		err = cut(filepath.Dir(dir))
		if err == nil {
			err = v.Fill(t.Context(), x, content)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := os.ReadDir(dir)
		if err != nil || len(got) != 2 || got[0].Name() != "authorized_keys" || got[1].Name() != "conf" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 2 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
}

// TestFillNothing leaves a volume as it is for which the image has nothing, and one that is
// not to be filled.
func TestFillNothing(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	x, _, err := v.Ensure(t.Context(), "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := x.Dir
	if err := v.Fill(t.Context(), x, func(string) (bool, error) { return false, nil }); err != nil {
		t.Error(err)
	}
	no, err := v.Create("no", Options{Options: map[string]string{"nocopy": ""}})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Fill(t.Context(), no, content); err != nil {
		t.Error(err)
	}
	for _, d := range []string{dir, no.Dir} {
		if got, err := os.ReadDir(d); err != nil || len(got) != 0 {
			t.Errorf("%s: %v, %v", d, got, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func ownerOf(t *testing.T, path string) (uid, gid, mode uint32) {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	sys := st.Sys().(*syscall.Stat_t)
	return sys.Uid, sys.Gid, sys.Mode & 0o7777
}

// TestFillElsewhere fills a volume whose data lie on another disk.
func TestFillElsewhere(t *testing.T) {
	needRoot(t)
	v := New(t.TempDir())
	x, _, err := v.Ensure(t.Context(), "x", Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := x.Dir
	elsewhere, err := os.MkdirTemp("/dev/shm", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(elsewhere)
	if err := errors.Join(os.Remove(dir), os.Symlink(elsewhere, dir)); err != nil {
		t.Fatal(err)
	}
	if err := v.Fill(t.Context(), x, content); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(elsewhere, "conf", "main")); err != nil || string(b) != "image" {
		t.Errorf("%q, %v", b, err)
	}
}
