// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenNamespace(t *testing.T) {
	f, err := OpenNamespace("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWUTS {
		t.Errorf("of kind %#x, %v", kind, err)
	}
	// Nobody writes to the pipe: to open it would be to wait.
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	link := pipe + ".link"
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		pipe: ErrNotNamespace, link: ErrNotNamespace, os.DevNull: ErrNotNamespace, "/proc/self/status": ErrNotNamespace, pipe + "s": fs.ErrNotExist,
	} {
		if _, err := OpenNamespace(path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}
