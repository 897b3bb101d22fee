// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
)

// members is a storage of containers of one pod.
type members struct {
	place
	all []storage.Container
}

func (m *members) Containers() ([]storage.Container, error) { return m.all, nil }

func (m *members) Container(string) (*storage.Container, error) {
	return nil, storage.ErrContainerUnknown // nobody has the name of the pod
}

// join adds a container of a pod, which runs as the process pid.
func (m *members) join(t *testing.T, e *Engine, r Record, pid int) {
	t.Helper()
	c := container.Record{Podunit: 1, PodID: r.ID}
	metadata, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	id := container.NewID()
	m.all = append(m.all, storage.Container{ID: id, Names: []string{"web"}, Metadata: string(metadata)})
	note(t, e.Containers.Dir(id), container.Status{PID: pid, StartTicks: process.StartTicks(pid)})
}

// note writes the status that lies in a runtime directory.
func note(t *testing.T, dir string, status any) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), container.WriteJSON(filepath.Join(dir, "status.json"), status)); err != nil {
		t.Fatal(err)
	}
}

// running is a pod of exit policy stop that runs. told counts the events that tell of its end.
func running(t *testing.T) (e *Engine, m *members, r Record, told *int) {
	t.Helper()
	conf, err := config.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	run, told := t.TempDir(), new(int)
	m = &members{place: place{root: t.TempDir()}}
	e = &Engine{Containers: &container.Engine{
		User: rootless.Identity{RunDir: run, UID: os.Getuid()}, RunDir: filepath.Join(run, "podunit"), Store: m, Config: conf,
		Event: func(event journal.Event) {
			if event.Type == "pod" && event.Status == "stop" {
				*told++
			}
		},
	}}
	if r, err = e.Create(t.Context(), spec.Pod{Name: "shop", ExitPolicy: "stop"}, "", nil); err != nil {
		t.Fatal(err)
	}
	pid := sleeps(t)
	note(t, e.Dir(r.ID), Status{InfraPID: pid, StartTicks: process.StartTicks(pid)})
	return e, m, r, told
}

// sleeps starts a process that is there until the end of the test.
func sleeps(t *testing.T) (pid int) {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// TestSettleLooksAgain: a container that somebody starts while the manager is asked keeps the pod
// alive.
func TestSettleLooksAgain(t *testing.T) {
	e, m, r, _ := running(t)
	ask := func() bool {
		m.join(t, e, r, sleeps(t))
		return false
	}
	if err := e.Settle(t.Context(), r.ID, ask); err != nil || e.Status(r).InfraPID == 0 {
		t.Errorf("the pod has ended: %v", err)
	}
	if err := e.Settle(t.Context(), r.ID, func() bool { t.Error("asked while a container runs"); return false }); err != nil {
		t.Error(err)
	}
	m.all = nil
	if err := e.Settle(t.Context(), r.ID, func() bool { return true }); err != nil || e.Status(r).InfraPID == 0 {
		t.Errorf("the pod has ended before its last container starts again: %v", err)
	}
	if err := e.Settle(t.Context(), r.ID, func() bool { return false }); err != nil || e.Status(r).InfraPID != 0 {
		t.Errorf("the pod goes on: %v", err)
	}
}

// TestEndIsToldOnce: whoever ends a pod's first process, the stop that follows tells of it, and no
// later one.
func TestEndIsToldOnce(t *testing.T) {
	for name, first := range map[string]func(e *Engine, r Record) error{
		"a stop":             func(*Engine, Record) error { return nil },
		"its last container": func(e *Engine, r Record) error { return e.Settle(t.Context(), r.ID, nil) },
		"a play":             func(e *Engine, r Record) error { return e.EndInfra(r) },
	} {
		e, _, r, told := running(t)
		for range 2 {
			if err := errors.Join(first(e, r), e.Stop(t.Context(), r, OwnTimes)); err != nil || *told != 1 || e.Status(r).InfraPID != 0 {
				t.Errorf("%s: told %d times, %v", name, *told, err)
			}
		}
		if err := e.Remove(t.Context(), r, false, 0); err != nil || *told != 1 {
			t.Errorf("%s: told %d times, %v", name, *told, err)
		}
	}
}
