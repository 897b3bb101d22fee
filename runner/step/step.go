// SPDX-License-Identifier: Apache-2.0

// Package step runs reversible acts in order and takes them back when one fails.
package step

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// CrashVariable names the environment variable with which a test kills the runner
// right after the step of that name: the way to show that a start cut at any
// point leaves nothing that the next start cannot clean up.
const CrashVariable = "PODUNIT_CRASH_AFTER"

// A Step is one act of starting a container and the way to take it back.
type Step struct {
	Name string                      // as a person would say it: "mount rootfs"
	Do   func(context.Context) error // succeeds, or leaves nothing behind
	Undo func(context.Context) error // nil if there is nothing to undo; safe when already gone
}

// Run does the steps in order. If one fails or ctx ends, those done are undone,
// last first, within grace and regardless of ctx; the cause and every undo error
// come back joined.
func Run(ctx context.Context, grace time.Duration, steps []Step) error {
	for i, s := range steps {
		err := ctx.Err()
		if err == nil {
			err = s.Do(ctx)
		}
		if err == nil {
			crash(s.Name)
			continue
		}
		return errors.Join(err, undo(ctx, grace, steps[:i]))
	}
	return nil
}

func undo(ctx context.Context, grace time.Duration, done []Step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	var errs []error
	for i := len(done) - 1; i >= 0; i-- {
		if done[i].Undo == nil {
			continue
		}
		if err := done[i].Undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("undo %s: %w", done[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

func crash(name string) {
	if os.Getenv(CrashVariable) == name {
		// SIGKILL, so that not even a deferred function runs.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
