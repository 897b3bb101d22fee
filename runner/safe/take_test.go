// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTake: whatever lies where a lock file is to be, it is ours alone afterwards, and ours stays.
func TestTake(t *testing.T) {
	for what, put := range map[string]func(string) error{
		"nothing":          func(string) error { return nil },
		"a file for all":   func(p string) error { return os.WriteFile(p, []byte("x"), 0o644) },
		"a link":           func(p string) error { return os.Symlink("/etc/passwd", p) },
		"a pipe":           func(p string) error { return unix.Mkfifo(p, 0o666) },
		"a full directory": func(p string) error { return errors.Join(os.Mkdir(p, 0o777), os.WriteFile(p+"/file", nil, 0o600)) },
		"a file of another's": func(p string) error {
			if os.Geteuid() != 0 {
				return nil
			}
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, 12345, 12345))
		},
	} {
		path := filepath.Join(t.TempDir(), "lock")
		if err := errors.Join(put(path), Take(path)); err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		st, err := os.Lstat(path)
		if err != nil || st.Mode() != 0o600 || st.Size() != 0 {
			t.Errorf("%s: %v, %v", what, st, err)
		}
		if err := Take(path); err != nil {
			t.Errorf("%s: again: %v", what, err)
		}
		if again, err := os.Lstat(path); err != nil || !os.SameFile(st, again) {
			t.Errorf("%s: another file at the second time: %v", what, err)
		}
	}
}
