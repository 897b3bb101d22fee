// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Flock takes the lock of an open file or directory for this process alone, and waits as long as ctx
// lasts for whoever has it. It is let go when f is closed. Source: flock(2).
func Flock(ctx context.Context, f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EWOULDBLOCK) {
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		select {
		case <-ctx.Done():
			return &fs.PathError{Op: "lock", Path: f.Name(), Err: context.Cause(ctx)}
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// TryFlock takes the lock of an open file or directory if nobody has it, and reports whether it did
// and its path still names the same one: whoever removes it holds the lock until then. It does not
// wait. Where it did not, f is of no more use.
func TryFlock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return StillThere(f)
}

// StillThere reports whether an open file or directory is what its path names, and no other one or a
// link in its place. Source: os.SameFile.
func StillThere(f *os.File) (bool, error) {
	ours, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Lstat(f.Name())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(ours, there), err
}

// Holder is the process that has the lock of a file, whether by flock(2) or by fcntl(2); 0 if none
// has it, or the kernel does not tell. Source: proc_locks(5). Some file systems have other numbers
// there than stat(2) gives them.
func Holder(path string) int {
	var st unix.Stat_t
	data, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Stat(path, &st) != nil {
		return 0
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	for line := range strings.Lines(string(data)) {
		// 1: POSIX  ADVISORY  WRITE 1234 00:2a:5678 0 EOF; the second word of who waits is an arrow.
		f := strings.Fields(line)
		if len(f) < 6 || f[1] == "->" || f[5] != file {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 && unix.Kill(pid, 0) != unix.ESRCH {
			return pid
		}
	}
	return 0
}
