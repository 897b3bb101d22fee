// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"time"

	"github.com/podunit/podunit/runner/container"
)

const lockWait = container.LockWait

// WithLock does something to the container of a name while nobody else does. It waits 15 seconds
// for the lock; then the error is container.ErrBusy. do may give the lock back before its end,
// and drops it when it has removed the container.
func (e *Engine) WithLock(ctx context.Context, name string, do func(*container.Lock) error) error {
	return e.withLock(ctx, lockWait, name, do)
}

// withLock waits for the lock as long as ctx lasts, and no longer than wait unless that is 0. After
// a failure the lock of a name that no container has is dropped.
func (e *Engine) withLock(ctx context.Context, wait time.Duration, name string, do func(*container.Lock) error) error {
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if wait > 0 {
		waiting, cancel = context.WithTimeout(ctx, wait)
	}
	defer cancel()
	return e.Containers.WithLock(waiting, name, func(lock *container.Lock) error {
		err := do(lock)
		if err == nil {
			return nil
		}
		if _, gone := e.Containers.LookupExact(name); errors.Is(gone, container.ErrNotFound) {
			return errors.Join(err, lock.Drop())
		}
		return err
	})
}
