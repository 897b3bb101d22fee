// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/process"
)

// execution is one of nothing in particular.
func execution(t *testing.T) Execution {
	t.Helper()
	x := Execution{ID: "x"}
	for _, f := range []**os.File{&x.Process, &x.Log} {
		var err error
		if *f, err = os.CreateTemp(t.TempDir(), ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*f).Close() })
	}
	return x
}

// hang is a runtime that hears no signal, and has started a process that does not either, as runc
// has its init. It writes the process ID of that into a file.
const hang = `trap '' TERM INT HUP
sh -c 'trap "" TERM INT HUP; while :; do sleep 1000; done' & echo $! >"$HERE.new"; mv "$HERE.new" "$HERE"
while :; do wait; sleep 1; done`

// hanging returns such a runtime, and what waits for the process that it starts.
func hanging(t *testing.T) (r Runtime, initPID func() int) {
	t.Helper()
	here := filepath.Join(t.TempDir(), "init")
	r = fake(t, strings.ReplaceAll(hang, "$HERE", here))
	return r, func() int {
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if b, err := os.ReadFile(here); err == nil {
				pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
				if err != nil {
					t.Fatal(err)
				}
				return pid
			}
		}
		t.Fatal("the runtime was not executed")
		return 0
	}
}

// TestAHangingRuntime ends with its init when its command is given up.
func TestAHangingRuntime(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, r Runtime) error{
		"exec": func(ctx context.Context, r Runtime) error {
			_, err := r.Exec(ctx, execution(t))
			return err
		},
		"exec -d": func(ctx context.Context, r Runtime) error { return r.ExecDetached(ctx, execution(t)) },
		"run": func(ctx context.Context, r Runtime) error {
			code, err := r.Foreground(ctx, "x", t.TempDir(), Config{}, Streams{}, nil)
			if err == nil && code == 128+int(syscall.SIGKILL) {
				return ctx.Err() // the caller knows that there was no container
			}
			return err
		},
		"create": func(ctx context.Context, r Runtime) error {
			c, err := r.Create(ctx, "x", t.TempDir(), Streams{})
			if err != nil {
				return err
			}
			if err := c.Configure(Config{}); err != nil {
				return err
			}
			_, err = c.Wait()
			return errors.Join(err, c.Discard())
		},
		"delete": func(ctx context.Context, r Runtime) error {
			if err := os.MkdirAll(filepath.Join(r.Root, "x"), 0o700); err != nil {
				return err
			}
			if err := r.Delete(ctx, "x"); err != nil {
				return err
			}
			return ctx.Err() // it has removed the directory itself
		},
		"update": func(ctx context.Context, r Runtime) error { return r.Update(ctx, "x", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, initPID := hanging(t)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- do(ctx, r) }()
			pid := initPID()
			defer func() { _ = syscall.Kill(pid, syscall.SIGKILL) }() // it has ended, if all is well
			select {
			case err := <-ended:
				t.Fatalf("it did not wait for the runtime: %v", err)
			default:
			}
			cancel()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("no error")
				}
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
			for deadline := time.Now().Add(time.Minute); !process.HasEnded(pid); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("the runtime's init goes on")
				}
			}
		})
	}
}

// TestSignalsOfAnExec are the process's, whose status is the command's, also if it is 0.
func TestSignalsOfAnExec(t *testing.T) {
	for _, code := range []int{0, 7} {
		here := filepath.Join(t.TempDir(), "here")
		r := fake(t, "trap 'exit "+strconv.Itoa(code)+"' TERM\n: >"+here+"\nwhile :; do sleep 0.01; done")
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		go func() {
			for ctx.Err() == nil {
				if _, err := os.Stat(here); err == nil {
					_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // it is us
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
		if got, err := r.Exec(ctx, execution(t)); got != code || err != nil {
			t.Errorf("%d, %v; want %d", got, err, code)
		}
		stop()
	}
}
