// SPDX-License-Identifier: Apache-2.0

package netavark

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/unit"
	"go.podman.io/storage/pkg/lockfile"
)

const (
	// LockWait is how long to wait for others who change the networks. A manager gives a start 90
	// seconds by default: the start can still say what it has waited for.
	LockWait = 80 * time.Second
	// holdTime is how long one may change them. It is shorter: who waits for one that hangs has its
	// turn.
	holdTime = 55 * time.Second
)

// withLock does something under the lock that Podman takes, too. It waits as long as ctx lasts, and
// no longer than LockWait; then the error is a LockedError.
func (s *Store) withLock(ctx context.Context, do func(ctx context.Context) error) error {
	return s.lockWithin(ctx, LockWait, do)
}

func (s *Store) lockWithin(ctx context.Context, wait time.Duration, do func(ctx context.Context) error) error {
	if err := os.MkdirAll(filepath.Dir(s.LockFile), 0o755); err != nil {
		return err
	}
	if !s.Rootless {
		// On a Debian everybody may write in its directory.
		if err := safe.Take(s.LockFile); err != nil {
			return fmt.Errorf("lock of the networks: %w", err)
		}
	}
	l, err := lockfile.GetLockFile(s.LockFile)
	if err != nil {
		return fmt.Errorf("lock of the networks: %w", err)
	}
	tooLong := errors.New("it was not let go")
	waiting, cancel := context.WithTimeoutCause(ctx, wait, tooLong)
	defer cancel()
	got := make(chan bool)
	go func() {
		l.Lock()
		select {
		case got <- true:
		case <-waiting.Done(): // nobody waits for it any more
			l.Unlock()
		}
	}()
	select {
	case <-got:
	case <-waiting.Done():
		if err := context.Cause(waiting); !errors.Is(err, tooLong) {
			return fmt.Errorf("lock of the networks: %w", err)
		}
		return LockedError{Wait: wait, Holder: safe.Holder(s.LockFile), Rootless: s.Rootless}
	}
	defer l.Unlock()
	held, end := context.WithTimeoutCause(ctx, holdTime, SlowError{holdTime})
	defer end()
	return do(held)
}

// LockedError says that somebody else has kept the lock of the networks.
type LockedError struct {
	Wait     time.Duration
	Holder   int // the process that has it; 0 if it is not known
	Rootless bool
}

func (e LockedError) Error() string {
	if e.Holder == 0 {
		return fmt.Sprintf("other processes have had the lock of the networks for %v", e.Wait)
	}
	return fmt.Sprintf("other processes have had the lock of the networks for %v, now process %d", e.Wait, e.Holder)
}

// Hint is the way out.
func (e LockedError) Hint() string {
	if e.Holder == 0 {
		return "look for a podunit or a podman that hangs, and end it: ps -ef | grep pod"
	}
	return fmt.Sprintf("%s tells what that does; if it hangs: kill %d", unit.StatusWords(strconv.Itoa(e.Holder), e.Rootless), e.Holder)
}
