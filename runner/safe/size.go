// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Size is how many bytes the files below a directory have. One with several names counts once, and
// what goes meanwhile does not count. No directory is reached by a path, so that somebody who
// exchanges one for a link while this works does not lead it out of the tree.
func Size(path string) (int64, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	var total int64
	seen := map[uint64]bool{}
	err = fs.WalkDir(root.FS(), ".", func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			if seen[st.Ino] {
				return nil
			}
			seen[st.Ino] = true
		}
		total += info.Size()
		return nil
	})
	return total, err
}
