// SPDX-License-Identifier: Apache-2.0

package safe

import (
	"context"
	"errors"
	"io/fs"
	"os"
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
