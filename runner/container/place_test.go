// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// TestElsewhere: a container that was made with another runtime directory, in which it may
// be running, is neither removed nor started from here.
func TestElsewhere(t *testing.T) {
	there := &Engine{RunDir: t.TempDir()}
	r := there.Prepare(spec.Container{Name: "web"}, Image{}, nil)
	if err := os.MkdirAll(there.Dir(r.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	e := &Engine{RunDir: t.TempDir()}
	var elsewhere *ElsewhereError
	for name, err := range map[string]error{
		"stop":   e.Stop(context.Background(), r, 0),
		"remove": e.Remove(context.Background(), r, true, true, 0),
		"kill":   e.Kill(r, unix.SIGTERM),
	} {
		if !errors.As(err, &elsewhere) || !strings.Contains(elsewhere.Hint(), "XDG_RUNTIME_DIR=") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := e.Start(context.Background(), Launch{Record: &r}); !errors.As(err, &elsewhere) {
		t.Errorf("start: %v", err)
	}
	if err := there.here(r); err != nil {
		t.Errorf("where it was made: %v", err)
	}
	old := r
	old.BootID = "another"
	if err := e.here(old); err != nil {
		t.Errorf("of an earlier boot nothing runs: %v", err)
	}
	if err := there.saveStatus(r.ID, Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid()), StartedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := e.here(r); !errors.As(err, &elsewhere) {
		t.Errorf("it runs there: %v", err)
	}
	if s, err := e.StatusOf(r); err != nil || s.PID != os.Getpid() {
		t.Errorf("it is shown as %+v, %v", s, err)
	}
	for name, err := range map[string]error{
		"copy":   e.WithRoot(context.Background(), r, func(string) error { return nil }),
		"export": e.WithLayer(r, func(string) error { return nil }),
	} {
		if !errors.As(err, &elsewhere) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := there.saveStatus(r.ID, Status{PID: os.Getpid(), StartTicks: 1, StartedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if err := e.here(r); err != nil {
		t.Errorf("it has ended there: %v", err)
	}
	if err := os.RemoveAll(there.RunDir); err != nil {
		t.Fatal(err)
	}
	if err := e.here(r); err != nil {
		t.Errorf("that directory is gone: %v", err)
	}
}

// TestElsewhereHint names a way that leads there: XDG_RUNTIME_DIR, but not to the directory of
// a login, which it does not choose once a system unit with User= has run.
func TestElsewhereHint(t *testing.T) {
	units, login := rootless.UnitsDir+"/1003/podunit", "/run/user/1003/podunit"
	for _, c := range []struct{ here, there, want string }{
		{units, login, "systemctl restart user@1003.service"},
		{units, "/run/x/podunit", "XDG_RUNTIME_DIR=/run/x in front"},
		{"/run/x/podunit", login, "XDG_RUNTIME_DIR=/run/user/1003 in front"},
		{"/run/x/podunit", units, "XDG_RUNTIME_DIR=" + rootless.UnitsDir + "/1003 in front"},
	} {
		if h := (&ElsewhereError{RunDir: c.there, Here: c.here}).Hint(); !strings.Contains(h, c.want) {
			t.Errorf("from %s to %s: %s", c.here, c.there, h)
		}
	}
}

// TestSweepLeavesElsewhere: a container that is being made with another runtime directory is
// no orphan.
func TestSweepLeavesElsewhere(t *testing.T) {
	root := t.TempDir()
	there := &Engine{RunDir: t.TempDir(), Store: nowhere{root: root}}
	r := Record{ID: NewID(), Name: "web"}
	if err := there.mark(&r); err != nil {
		t.Fatal(err)
	}
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: root}}
	if err := e.SweepOrphans(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(e.marker(r.ID)); err != nil {
		t.Errorf("it was swept: %v", err)
	}
	if err := there.SweepOrphans(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(e.marker(r.ID)); err == nil {
		t.Error("where its maker is dead it is swept")
	}
}
