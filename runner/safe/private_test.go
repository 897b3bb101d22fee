// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestOpenPrivate: a directory is used if it is this user's alone, below one in which nobody else
// writes.
func TestOpenPrivate(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir, own string) error
		want    error
	}{
		"nothing":            {func(dir, own string) error { return nil }, nil},
		"one of ours":        {func(dir, own string) error { return os.Mkdir(own, 0o700) }, nil},
		"others reach in":    {func(dir, own string) error { return errors.Join(os.Mkdir(own, 0o700), os.Chmod(own, 0o710)) }, ErrShared},
		"all write above":    {func(dir, own string) error { return os.Chmod(dir, 0o1777) }, ErrShared},
		"a group does":       {func(dir, own string) error { return os.Chmod(dir, 0o770) }, ErrShared},
		"others read above":  {func(dir, own string) error { return os.Chmod(dir, 0o755) }, nil},
		"a link to ours":     {func(dir, own string) error { return errors.Join(os.Mkdir(dir+"/x", 0o700), os.Symlink("x", own)) }, nil},
		"a link that leaves": {func(dir, own string) error { return os.Symlink(filepath.Dir(dir), own) }, ErrShared},
		"a file":             {func(dir, own string) error { return os.WriteFile(own, nil, 0o600) }, ErrShared},
		"no directory above": {func(dir, own string) error { return os.Remove(dir) }, ErrShared},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "dir")
			if err := errors.Join(os.Mkdir(dir, 0o700), c.prepare(dir, filepath.Join(dir, "own"))); err != nil {
				t.Fatal(err)
			}
			got, err := OpenPrivate(dir, "own")
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err == nil {
				got.Close()
			}
		})
	}
	// One of somebody else's, whatever its mode.
	dir, stranger := "/etc", 0
	if os.Geteuid() == 0 {
		dir, stranger = t.TempDir(), 65534
	}
	if err := os.Chown(dir, stranger, stranger); os.Geteuid() == 0 && err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Private(root, 0); !errors.Is(err, ErrShared) {
		t.Errorf("a directory of %d: %v", stranger, err)
	}
}
