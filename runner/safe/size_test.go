// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSize(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	err := errors.Join(
		os.Mkdir(filepath.Join(dir, "a"), 0o755),
		os.WriteFile(filepath.Join(dir, "a", "ten"), make([]byte, 10), 0o644),
		os.Link(filepath.Join(dir, "a", "ten"), filepath.Join(dir, "again")),
		os.WriteFile(filepath.Join(dir, "five"), make([]byte, 5), 0o644),
		os.WriteFile(filepath.Join(other, "much"), make([]byte, 1000), 0o644),
		os.Symlink(other, filepath.Join(dir, "b")),
	)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Size(dir); err != nil || n != 15+int64(len(other)) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := Size(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
