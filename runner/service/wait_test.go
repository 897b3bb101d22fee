// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/unit"
	"go.podman.io/storage"
)

func (s *fakeStore) Layer(string) (*storage.Layer, error) { return nil, storage.ErrLayerUnknown }

func (s *fakeStore) Image(string) (*storage.Image, error) { return nil, storage.ErrImageUnknown }

func (s *fakeStore) SetNames(name string, names []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers[s.find(name)].Names = names
	return nil
}

// atEnd are the states that podunit wait has where nobody says others.
var atEnd = []string{"exited", "stopped"}

func TestWaitForWhatIsSo(t *testing.T) {
	w := newWorld(t)
	created := w.made("created", nil)
	runs := w.made("runs", nil)
	w.running(runs, "runs.service")
	for _, c := range []struct {
		r      container.Record
		states []string
	}{{created, []string{"created"}}, {created, []string{"running", "configured"}}, {runs, []string{"running"}}} {
		if code, err := w.Wait(t.Context(), c.r, c.states, time.Hour); code != NoCode || err != nil {
			t.Errorf("%s, %v: %d, %v", c.r.Name, c.states, code, err)
		}
	}
}

// TestWaitForTheEnd: how a container ended is in its directory, or the manager tells, whoever is
// first.
func TestWaitForTheEnd(t *testing.T) {
	t.Run("it is noted", func(t *testing.T) {
		w := newWorld(t)
		r := w.made("web", nil)
		cmd := w.running(r, "")
		go func() {
			_ = w.Containers.Ended(r, 7)
			_ = cmd.Process.Kill()
		}()
		if code, err := w.Wait(t.Context(), r, atEnd, time.Hour); code != 7 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
		if code, err := w.Wait(t.Context(), r, atEnd, time.Hour); code != 7 || err != nil {
			t.Errorf("afterwards %d, %v", code, err)
		}
	})
	t.Run("the manager tells", func(t *testing.T) {
		w := newWorld(t)
		r := w.made("web", nil)
		cmd := w.running(r, "web.service")
		w.manager.set("web.service", unit.Properties{Ended: cmd.Process.Pid, ExitCode: 3})
		w.Connect = func(context.Context) (Manager, error) {
			go func() { _ = cmd.Process.Kill() }() // it has been seen running
			return w.manager, nil
		}
		if code, err := w.Wait(t.Context(), r, atEnd, time.Hour); code != 3 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
	})
	t.Run("it has ended, and that is not noted yet", func(t *testing.T) {
		w := newWorld(t)
		r := w.made("web", nil)
		cmd := w.running(r, "")
		_ = cmd.Process.Kill()
		for w.alive(r) {
			time.Sleep(time.Millisecond)
		}
		go func() {
			time.Sleep(20 * time.Millisecond)
			_ = w.Containers.Ended(r, 5)
		}()
		if code, err := w.Wait(t.Context(), r, atEnd, time.Hour); code != 5 || err != nil {
			t.Errorf("%d, %v", code, err)
		}
	})
	t.Run("it goes, and nobody tells", func(t *testing.T) {
		w := newWorld(t)
		w.Connect = func(context.Context) (Manager, error) { return nil, errors.New("no manager") }
		r := w.made("web", nil)
		cmd := w.running(r, "web.service")
		go func() {
			_ = w.store.DeleteContainer(r.ID)
			_ = cmd.Process.Kill()
		}()
		if code, err := w.Wait(t.Context(), r, atEnd, time.Hour); code != NoCode || !errors.Is(err, container.ErrNotFound) {
			t.Errorf("%d, %v", code, err)
		}
	})
}

func TestWaitForHealth(t *testing.T) {
	w := newWorld(t)
	plain := w.made("plain", nil)
	w.running(plain, "plain.service")
	if _, err := w.Wait(t.Context(), plain, []string{"healthy"}, time.Millisecond); !errors.Is(err, health.ErrNone) {
		t.Errorf("without a check: %v", err)
	}
	r := w.made("web", func(r *container.Record) { r.Health = &health.Config{} })
	w.running(r, "web.service")
	if err := w.Containers.HealthFiles(r.ID).Save(health.State{Status: health.Unhealthy}); err != nil {
		t.Fatal(err)
	}
	if code, err := w.Wait(t.Context(), r, []string{"healthy", "unhealthy"}, time.Millisecond); code != NoCode || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// TestWaitForTheHealthOfOneThatEnds: it will not become healthy, however long anybody waits.
func TestWaitForTheHealthOfOneThatEnds(t *testing.T) {
	w := newWorld(t)
	config := oneCheck("")
	r := w.made("web", func(r *container.Record) { r.Health = &config })
	first := w.running(r, "")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go func() { _ = first.Process.Kill() }()
	if code, err := w.Wait(ctx, r, []string{"healthy", "unhealthy"}, time.Millisecond); !errors.Is(err, health.ErrStopped) || code != NoCode {
		t.Errorf("%d, %v", code, err)
	}
}

func TestPauseOfOneThatDoesNotRun(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	if err := w.Pause(t.Context(), r); !errors.Is(err, container.ErrState) {
		t.Errorf("%v", err)
	}
	if err := w.Unpause(r); !errors.Is(err, container.ErrState) {
		t.Errorf("%v", err)
	}
}
