// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/store"
)

// checked is an engine with one container, which is this process, and a runtime that is a shell
// script.
func checked(t *testing.T, script string) (*Engine, Record) {
	t.Helper()
	e := &Engine{RunDir: t.TempDir()}
	r := Record{ID: strings.Repeat("a", store.IDLength), Name: "web"}
	dir := e.dir(r.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.saveStatus(r.ID, Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"process":{"env":["A=b"],"cwd":"/","user":{"umask":7}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(t.TempDir(), "runc")
	text := "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --log) LOG=$2 ;; --pid-file) PIDFILE=$2 ;; --process) PROCESS=$2 ;; esac; shift; done\n" + script
	if err := os.WriteFile(command, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	e.Runtime = runc.Runtime{Command: command, Root: t.TempDir()}
	return e, r
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, script string
		limit        int // of the output
		want         CheckResult
		err          error
	}{
		{name: "it passes", script: "echo fine; echo really >&2", want: CheckResult{Output: "fine\nreally\n"}},
		{name: "it fails", script: "echo ill; exit 7", want: CheckResult{Code: 7, Output: "ill\n"}},
		{name: "it is cut", script: "echo 123456789", limit: 4, want: CheckResult{Output: "1234"}},
		{name: "it gets the process", script: `cat "$PROCESS"; umask`,
			want: CheckResult{Output: `{"user":{"uid":0,"gid":0,"umask":7},"args":["true"],"env":["A=b","C=d"],"cwd":"/"}` + "\n0007\n"}},
		{name: "there is no such command", script: `echo '{"level":"error","msg":"exec: \"x\": executable file not found in $PATH"}' >"$LOG"; exit 1`, err: runc.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, r := checked(t, c.script)
			got, err := e.Check(context.Background(), r, Check{Command: []string{"true"}, Env: []string{"C=d"}, MaxOutput: c.limit})
			if !errors.Is(err, c.err) || c.err == nil && got != c.want {
				t.Errorf("%+v, %v; want %+v, %v", got, err, c.want, c.err)
			}
			left, _ := filepath.Glob(filepath.Join(e.dir(r.ID), "check.*"))
			if len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
		})
	}
}

// TestCheckBeyondItsLimit has a check that does not end, with a child that holds its output.
func TestCheckBeyondItsLimit(t *testing.T) {
	e, r := checked(t, `setsid sh -c 'echo $$ >'"$PIDFILE"'; echo begun; sleep 1000 & exec sleep 1000' & wait; exit 137`)
	// A busy machine may not have begun it by then.
	for limit := 300 * time.Millisecond; ; limit *= 2 {
		got, err := e.Check(context.Background(), r, Check{Command: []string{"true"}, Limit: limit})
		if err == nil && got.TimedOut && got.Output == "" && limit < time.Minute {
			continue
		}
		if err != nil || !got.TimedOut || got.Output != "begun\n" {
			t.Errorf("%+v, %v", got, err)
		}
		return
	}
}

func TestCheckGivenUp(t *testing.T) {
	e, r := checked(t, `echo $$ >"$PIDFILE"; exec sleep 1000`)
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("the unit stops")
	go func() {
		for {
			if _, err := runc.ReadPID(filepath.Join(e.dir(r.ID), "check.pid")); err == nil {
				cancel(stop)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if _, err := e.Check(ctx, r, Check{Command: []string{"true"}}); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestCheckOfWhatDoesNotRun(t *testing.T) {
	e, r := checked(t, "")
	if err := e.Remove(context.Background(), r, false, false, 0); !errors.Is(err, ErrRunning) || hint.Of(err) != "podunit stop "+r.Name+", or --force" {
		t.Errorf("the removal of one that runs: %v (%s)", err, hint.Of(err))
	}
	if err := e.saveStatus(r.ID, Status{}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Check(context.Background(), r, Check{Command: []string{"true"}}); !errors.Is(err, ErrNotRunning) || !strings.Contains(hint.Of(err), "podunit start "+r.Name) {
		t.Errorf("%v (%s)", err, hint.Of(err))
	}
}

// TestChecksSideBySide: checks of two names leave each other alone.
func TestChecksSideBySide(t *testing.T) {
	e, r := checked(t, `case $PIDFILE in *-a.pid) echo $$ >"$PIDFILE"; exec sleep 1000 ;; esac; echo fine`)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := e.Check(ctx, r, Check{Command: []string{"true"}, Name: "-a"})
		ended <- err
	}()
	for {
		if _, err := runc.ReadPID(filepath.Join(e.dir(r.ID), "check-a.pid")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if got, err := e.Check(context.Background(), r, Check{Command: []string{"true"}, Name: "-b"}); err != nil || got.Output != "fine\n" {
		t.Errorf("%+v, %v", got, err)
	}
	select {
	case err := <-ended:
		t.Errorf("the other one has ended: %v", err)
	default:
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
