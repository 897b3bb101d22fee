// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReadSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if _, err := ReadSmall(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	if _, err := ReadSmall(filepath.Dir(path)); err == nil {
		t.Error("a directory was read")
	}
	for _, size := range []int{0, 1, 2047, 2048, 2049, 100_000} {
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadSmall(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes of %d, %v", len(got), size, err)
		}
	}
	if got, err := ReadSmall("/proc/self/stat"); err != nil || !bytes.HasSuffix(got, []byte("\n")) {
		t.Errorf("%q, %v", got, err)
	}
}
