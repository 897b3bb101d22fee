// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage"
)

// stuck is a storage that does not answer.
type stuck struct{ *members }

var errStuck = errors.New("no answer")

func (stuck) Container(string) (*storage.Container, error) { return nil, errStuck }

// TestRemovedInOneStep: a removal that does not come to its end leaves no pod that seems never to
// have been started, which no prune takes. Who makes the next one completes it, but not while it
// goes on.
func TestRemovedInOneStep(t *testing.T) {
	e, m, r, _ := running(t)
	r.Spec.UserNS.Mode = spec.UserAuto
	files := e.Containers.Files(r.ID)
	if err := errors.Join(e.save(r), e.Stop(t.Context(), r, 0), os.MkdirAll(files, 0o700)); err != nil {
		t.Fatal(err)
	}
	e.Containers.Store = stuck{m}
	if err := e.Remove(t.Context(), r, false, 0); !errors.Is(err, errStuck) {
		t.Fatal(err)
	}
	if all, err := e.List(); err != nil || len(all) > 0 {
		t.Errorf("in the middle of the removal there is %+v, %v", all, err)
	}
	e.Containers.Store = m
	err := e.Containers.WithLock(t.Context(), "pod "+r.Name, func(*container.Lock) error {
		err := e.Sweep(t.Context())
		if left, err := os.ReadDir(e.recordDir()); err != nil || len(left) != 1 {
			t.Errorf("while somebody removes it: %v, %v", left, err)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	next, err := e.Create(t.Context(), spec.Pod{Name: "next"}, "", nil)
	if err == nil {
		err = e.Remove(t.Context(), next, false, 0)
	}
	if err != nil {
		t.Error(err)
	}
	for _, dir := range []string{e.recordDir(), filepath.Join(e.Containers.RunDir, "lock"), filepath.Dir(e.Dir(r.ID)), filepath.Dir(files)} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

// TestHalfARecord: what a killed creation has left of a record goes, but not while somebody is at
// work on the pod, nor beside the record of one that is there.
func TestHalfARecord(t *testing.T) {
	e, _, r, _ := running(t)
	half := func(name string) string { return filepath.Join(e.recordDir(), name+".json.new") }
	if err := errors.Join(os.WriteFile(half("gone"), nil, 0o600), os.WriteFile(half(r.Name), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	err := e.Containers.WithLock(t.Context(), "pod gone", func(*container.Lock) error { return e.Sweep(t.Context()) })
	if _, serr := os.Stat(half("gone")); err != nil || serr != nil {
		t.Errorf("while somebody makes it: %v, %v", err, serr)
	}
	err = e.Sweep(t.Context())
	if _, serr := os.Stat(half("gone")); err != nil || !errors.Is(serr, os.ErrNotExist) {
		t.Errorf("it stays: %v, %v", err, serr)
	}
	if _, err := os.Stat(half(r.Name)); err != nil {
		t.Error(err)
	}
	if _, err := e.LookupExact(r.Name); err != nil {
		t.Error(err)
	}
}

// TestPIDFileOfAPodThatChanged: a pod gets its process ID file, whatever was changed since it was
// read, and keeps the one that it got meanwhile.
func TestPIDFileOfAPodThatChanged(t *testing.T) {
	e, _, r, _ := running(t)
	first, second := filepath.Join(t.TempDir(), "pods", "first.pid"), filepath.Join(t.TempDir(), "pods", "second.pid")
	if err := e.Change(t.Context(), r, func(p *spec.Pod) { p.UTSNS.Container = "new" }); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{first, second} {
		got, err := e.EnsurePIDFile(t.Context(), r, path)
		now, lerr := e.LookupExact(r.Name)
		if err := errors.Join(err, lerr); err != nil {
			t.Fatal(err)
		}
		for _, s := range []spec.Pod{got.Spec, now.Spec} {
			if s.MainPIDFile != first || s.UTSNS.Container != "new" {
				t.Errorf("%q, %q", s.MainPIDFile, s.UTSNS.Container)
			}
		}
	}
	busy, cancel := context.WithCancel(t.Context())
	cancel()
	err := e.Containers.WithLock(t.Context(), "pod "+r.Name, func(*container.Lock) error {
		_, err := e.EnsurePIDFile(busy, r, first)
		return err
	})
	if !errors.Is(err, container.ErrBusy) {
		t.Errorf("while somebody is at work on it: %v", err)
	}
}

// TestPIDFileGoesWithThePod, and what a killed start has left of it.
func TestPIDFileGoesWithThePod(t *testing.T) {
	e, _, r, _ := running(t)
	path := filepath.Join(t.TempDir(), "pods", "media.pid")
	r, err := e.EnsurePIDFile(t.Context(), r, path)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + ".new"} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Remove(t.Context(), r, true, 0); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestPIDFileOfABusyPod: whoever wants it waits no longer than for a container, and learns who is at
// work.
func TestPIDFileOfABusyPod(t *testing.T) {
	e, _, r, _ := running(t)
	shm, err := os.MkdirTemp("/dev/shm", "podunit-test-") // where safe.Holder finds who has a lock
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(shm) })
	e.Containers.RunDir = shm
	path := filepath.Join(t.TempDir(), "pods", "shop.pid")
	synctest.Test(t, func(t *testing.T) {
		long, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := e.Containers.WithLock(long, "pod "+r.Name, func(*container.Lock) error {
			began := time.Now()
			_, err := e.EnsurePIDFile(long, r, path)
			if took := time.Since(began); took != container.LockWait {
				t.Errorf("it takes %v", took)
			}
			return err
		})
		want := fmt.Sprintf("pod shop: another podunit is at work on it: process %d", os.Getpid())
		if !errors.Is(err, container.ErrBusy) || err.Error() != want || !strings.HasSuffix(hint.Of(err), fmt.Sprintf("status %d tells what that does", os.Getpid())) {
			t.Errorf("%v (%s), want %s", err, hint.Of(err), want)
		}
	})
}
