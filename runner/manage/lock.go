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

	"github.com/podunit/podunit/runner/safe"
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
	if err := safe.Flock(ctx, f); err != nil {
		return err
	}
	left, err := fs.Glob(os.DirFS(dir), temporary)
	for _, name := range left {
		err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
	}
	if err != nil {
		return fmt.Errorf("remove what was left half-written: %w", err)
	}
	return do()
}
