// SPDX-License-Identifier: Apache-2.0

package step

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var errBoom = errors.New("boom")

func recorder(log *[]string, fail string, names ...string) []Step {
	var steps []Step
	for _, name := range names {
		steps = append(steps, Step{
			Name: name,
			Do: func(context.Context) error {
				if name == fail {
					return errBoom
				}
				*log = append(*log, "do "+name)
				return nil
			},
			Undo: func(context.Context) error {
				*log = append(*log, "undo "+name)
				return nil
			},
		})
	}
	return steps
}

func TestEachStepFailingUndoesTheOnesBefore(t *testing.T) {
	names := []string{"lock", "layer", "mount", "start"}
	for i, fail := range names {
		var log []string
		err := Run(context.Background(), time.Second, recorder(&log, fail, names...))
		if !errors.Is(err, errBoom) {
			t.Fatalf("failing %s: %v", fail, err)
		}
		var want []string
		for _, n := range names[:i] {
			want = append(want, "do "+n)
		}
		for j := i - 1; j >= 0; j-- {
			want = append(want, "undo "+names[j])
		}
		if !slices.Equal(log, want) {
			t.Errorf("failing %s: got %v, want %v", fail, log, want)
		}
	}
}

func TestACancelledContextStillUndoes(t *testing.T) {
	var log []string
	ctx, cancel := context.WithCancel(context.Background())
	steps := recorder(&log, "", "lock", "pull")
	steps[1].Do = func(ctx context.Context) error { cancel(); return ctx.Err() }
	steps[0].Undo = func(ctx context.Context) error {
		if ctx.Err() != nil {
			t.Error("undo got a dead context")
		}
		log = append(log, "undo lock")
		return nil
	}
	if err := Run(ctx, time.Second, steps); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if want := []string{"do lock", "undo lock"}; !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
}

func TestUndoErrorsJoinTheCause(t *testing.T) {
	var log []string
	steps := recorder(&log, "b", "a", "b")
	steps[0].Undo = func(context.Context) error { return errors.New("stuck") }
	err := Run(context.Background(), time.Second, steps)
	if !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "undo a: stuck") {
		t.Errorf("got %v", err)
	}
}

func TestCrashVariableKillsAfterTheNamedStep(t *testing.T) {
	if os.Getenv(CrashVariable) != "" {
		var log []string
		_ = Run(context.Background(), time.Second, recorder(&log, "", "a", "b"))
		os.Exit(0)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCrashVariableKillsAfterTheNamedStep$")
	cmd.Env = append(os.Environ(), CrashVariable+"=a")
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("got %v, want a death by SIGKILL", err)
	}
}

// TestSkip neither does nor undoes what is not needed.
func TestSkip(t *testing.T) {
	var did []string
	note := func(what string) func(context.Context) error {
		return func(context.Context) error { did = append(did, what); return nil }
	}
	boom := errors.New("boom")
	err := Run(context.Background(), time.Second, []Step{
		{Name: "a", Do: note("a"), Undo: note("undo a")},
		{Name: "b", Skip: true, Do: note("b"), Undo: note("undo b")},
		{Name: "c", Do: func(context.Context) error { return boom }},
	})
	if !errors.Is(err, boom) || !slices.Equal(did, []string{"a", "undo a"}) {
		t.Errorf("%v, %q", err, did)
	}
}
