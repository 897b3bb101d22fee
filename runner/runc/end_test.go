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
(trap '' TERM INT HUP; exec sleep 1000) & echo $! >"$HERE.new"; mv "$HERE.new" "$HERE"
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

// commands are those that are given up.
var commands = map[string]func(ctx context.Context, r Runtime, x Execution, dir string) error{
	"exec": func(ctx context.Context, r Runtime, x Execution, dir string) error {
		_, err := r.Exec(ctx, x)
		return err
	},
	"exec -d": func(ctx context.Context, r Runtime, x Execution, dir string) error { return r.ExecDetached(ctx, x) },
	"run": func(ctx context.Context, r Runtime, x Execution, dir string) error {
		code, err := r.Foreground(ctx, "x", dir, Config{}, Streams{}, nil)
		if err == nil && code == 128+int(syscall.SIGKILL) {
			return ctx.Err() // the caller knows that there was no container
		}
		return err
	},
	"create": func(ctx context.Context, r Runtime, x Execution, dir string) error {
		c, err := r.Create(ctx, "x", dir, Streams{}, false)
		if err != nil {
			return err
		}
		if err := c.Configure(Config{}); err != nil {
			return err
		}
		_, err = c.Wait()
		return errors.Join(err, c.Discard())
	},
	"delete": func(ctx context.Context, r Runtime, x Execution, dir string) error {
		if err := os.MkdirAll(filepath.Join(r.Root, "x"), 0o700); err != nil {
			return err
		}
		if err := r.Delete(ctx, "x"); err != nil {
			return err
		}
		return ctx.Err() // it has removed the directory itself
	},
	"update": func(ctx context.Context, r Runtime, x Execution, dir string) error { return r.Update(ctx, "x", nil) },
}

// told reports whether a runtime has said that there is a process.
func told(x Execution) bool {
	_, err := ReadPID(x.PIDFile)
	return err == nil
}

// TestAHangingRuntime ends with its init when its command is given up. One whose process is there
// does not hang; when that has ended, and nobody reads its output, it does.
func TestAHangingRuntime(t *testing.T) {
	type hung struct {
		r       Runtime
		initPID func() int
	}
	// All are made before the first is executed: one that is open for writing while somebody forks
	// cannot be.
	runtimes := map[string]hung{}
	for name := range commands {
		r, initPID := hanging(t)
		runtimes[name] = hung{r, initPID}
	}
	x, here := execution(t), filepath.Join(t.TempDir(), "here")
	x.PIDFile = here
	begun := fake(t, "echo 1 >"+here+".new; mv "+here+".new "+here+"; sleep "+strconv.Itoa(int(endWait/time.Second)+2)+"; exit 7")
	t.Run("exec, with a process", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			defer cancel()
			for deadline := time.Now().Add(time.Minute); !told(x) && time.Now().Before(deadline); {
				time.Sleep(5 * time.Millisecond)
			}
		}()
		if code, err := begun.Exec(ctx, x); code != 7 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
	})
	y, there := execution(t), filepath.Join(t.TempDir(), "there")
	y.PIDFile = there
	full := fake(t, "trap '' TERM; true & wait; echo $! >"+there+".new; mv "+there+".new "+there+"; exec sleep 1000")
	t.Run("exec, whose process has ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			_, err := full.Exec(ctx, y)
			ended <- err
		}()
		for deadline := time.Now().Add(time.Minute); !told(y) && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it does not end")
		}
	})
	for name, do := range commands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, initPID := runtimes[name].r, runtimes[name].initPID
			x, dir := execution(t), t.TempDir()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- do(ctx, r, x, dir) }()
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
