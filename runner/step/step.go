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

	"github.com/sirupsen/logrus"
)

// CrashVariable names the environment variable with which a test kills the runner
// right after the step of that name: the way to show that a start or stop cut at any
// point leaves nothing that the next start cannot clean up.
const CrashVariable = "PODUNIT_CRASH_AFTER"

// A Step is one act of starting a container and the way to take it back.
type Step struct {
	Name string                      // as a person would say it: "mount rootfs"
	Do   func(context.Context) error // succeeds, or leaves nothing behind
	Undo func(context.Context) error // nil if there is nothing to undo; safe when already gone
	Skip bool                        // not needed this time: neither done nor undone
}

// Run does the steps in order. If one fails or ctx ends, those done are undone,
// last first, within grace and regardless of ctx; the cause and every undo error
// come back joined.
func Run(ctx context.Context, grace time.Duration, steps []Step) error {
	for i, s := range steps {
		if s.Skip {
			continue
		}
		err, begin := ctx.Err(), time.Now()
		if err == nil {
			err = s.Do(ctx)
		}
		logrus.Debugf("step %s: %.1f ms", s.Name, time.Since(begin).Seconds()*1000)
		if err == nil {
			Crash(s.Name)
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
		if done[i].Skip || done[i].Undo == nil {
			continue
		}
		if err := done[i].Undo(ctx); err != nil {
			errs = append(errs, fmt.Errorf("undo %s: %w", done[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Crash is a point at which a test can kill the runner outside of Run: in a pull, in a
// stop, between two halves of a step. It does nothing unless CrashVariable has the name.
func Crash(name string) {
	if os.Getenv(CrashVariable) == name {
		fmt.Fprintf(os.Stderr, "podunit: killed after %s, as %s says\n", name, CrashVariable)
		// SIGKILL, so that not even a deferred function runs.
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
