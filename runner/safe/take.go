// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Take makes sure that a file has a name in a directory where others may write, as /run/lock, is
// this user's, and that nobody else can open it: who can read a lock file can hold the lock. What
// somebody else has put there goes. Afterwards the name can be relied on if the directory is sticky.
func Take(path string) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	name := filepath.Base(path)
	for range 100 {
		f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		st, err := dir.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if st.Mode().IsRegular() && int(st.Sys().(*syscall.Stat_t).Uid) == os.Geteuid() && st.Mode().Perm()&Reachable == 0 {
			return nil
		}
		if err := dir.RemoveAll(name); err != nil {
			return err
		}
	}
	return &fs.PathError{Op: "take", Path: path, Err: ErrShared}
}
