// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestChown gives a tree away while somebody exchanges a directory in it for a link to
// another tree and back, as a container does that mounts the volume. The other tree stays.
func TestChown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	top := t.TempDir()
	volume, precious := filepath.Join(top, "volume"), filepath.Join(top, "precious")
	var files []string
	for _, dir := range []string{filepath.Join(volume, "a", "b"), precious} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"1", "2", "3", "4", "5", "6", "7", "8"} {
			files = append(files, filepath.Join(dir, name))
			if err := os.WriteFile(files[len(files)-1], nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink(precious, filepath.Join(volume, "a", "link")); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !stop.Load() {
			_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(volume, "a", "b"), unix.AT_FDCWD, filepath.Join(volume, "a", "link"), unix.RENAME_EXCHANGE)
		}
	}()
	for i := range 2000 {
		if err := Chown(volume, 1000+i, 1000); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	<-ended
	// At rest all of the tree is given away, the link itself among it.
	err := Chown(volume, 77, 78)
	for _, path := range append(files, volume, precious, filepath.Join(volume, "a", "b"), filepath.Join(volume, "a", "link")) {
		var st unix.Stat_t
		if lerr := unix.Lstat(path, &st); lerr != nil {
			// The exchange may have left the link under the directory's name.
			continue
		}
		want := uint32(77)
		if path == precious || filepath.Dir(path) == precious {
			want = 0
		} else if real, rerr := filepath.EvalSymlinks(path); rerr == nil && filepath.Dir(real) == precious {
			continue
		}
		if st.Uid != want {
			t.Errorf("%s belongs to %d, want %d", path, st.Uid, want)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
