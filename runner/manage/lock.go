// SPDX-License-Identifier: Apache-2.0

package manage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait is the longest wait for somebody else who writes to the same directory: that takes
// moments.
const lockWait = time.Minute

// temporary is what a file is called that gets its name when it is complete: a pattern of
// os.CreateTemp, and of filepath.Match.
const temporary = ".podunit-*.tmp"

// withLock has do write to a directory while no other podunit does, for which it waits as long as
// ctx lasts, and no longer than lockWait. It begins by removing what another was writing when it
// was killed.
func withLock(ctx context.Context, dir string, do func() error) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, lockWait, errors.New("another podunit has been writing there for a minute"))
	defer cancel()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EWOULDBLOCK) {
			return &fs.PathError{Op: "lock", Path: dir, Err: err}
		}
		select {
		case <-ctx.Done():
			return &fs.PathError{Op: "lock", Path: dir, Err: context.Cause(ctx)}
		case <-time.After(5 * time.Millisecond):
		}
	}
	left, err := filepath.Glob(filepath.Join(escaped(dir), temporary))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return fmt.Errorf("remove what was left half-written: %w", err)
	}
	return do()
}

// escaped is a directory's name in a pattern of filepath.Glob.
func escaped(dir string) string {
	var b []byte
	for i := range len(dir) {
		if c := dir[i]; c == '*' || c == '?' || c == '[' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, dir[i])
	}
	return string(b)
}
