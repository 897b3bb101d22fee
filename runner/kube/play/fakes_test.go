// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/secret"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"github.com/podunit/podunit/runner/volume"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
)

// fakeStore is a storage in memory, with directories in a real one.
type fakeStore struct {
	storage.Store
	root string

	mu         sync.Mutex
	containers []storage.Container
	fault      error // that of reading it
}

func (s *fakeStore) GraphRoot() string { return s.root }

func (s *fakeStore) Containers() ([]storage.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.containers), s.fault
}

// breaks gives the storage a fault, or takes it back.
func (s *fakeStore) breaks(fault error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

func (s *fakeStore) Container(nameOrID string) (*storage.Container, error) {
	all, _ := s.Containers()
	for _, c := range all {
		if c.ID == nameOrID || slices.Contains(c.Names, nameOrID) {
			return &c, nil
		}
	}
	return nil, storage.ErrContainerUnknown
}

// fakeManager notes what it is asked for; units are active from their start to their stop.
type fakeManager struct {
	service.Manager
	mu     sync.Mutex
	calls  []string
	active map[string]bool
	failed map[string]bool
	fails  map[string]error // by the call
	// state, if it is set, tells the ActiveState of a unit; empty for what the rest says.
	state func(name string) string
	// does, if it is set, is what a call does, and ends how it fails.
	does func(call string)
	ends func(call string) error
	// job is the one that every unit has, and restart its Restart=.
	job, restart string
}

func (m *fakeManager) call(verb, name string) error {
	m.mu.Lock()
	call := verb + " " + name
	m.calls = append(m.calls, call)
	does, ends, err := m.does, m.ends, m.fails[call]
	m.mu.Unlock()
	if does != nil {
		does(call)
	}
	if ends != nil && err == nil {
		err = ends(call)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case verb == "start":
		m.active[name], m.failed[name] = err == nil, err != nil
	case verb == "stop" && err == nil:
		m.active[name] = false
	case verb == "free", verb == "reset":
		m.failed[name] = false
	}
	return err
}

// asked is what was asked for of some units, in order.
func (m *fakeManager) asked(verb string) (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		if name, ok := strings.CutPrefix(c, verb+" "); ok {
			out = append(out, name)
		}
	}
	return out
}

func (m *fakeManager) StartService(_ context.Context, name string, _ unit.Service) error {
	return m.call("start", name)
}

func (m *fakeManager) StartTimer(_ context.Context, name string, _ unit.Timer) error {
	return m.call("start", name)
}

func (m *fakeManager) Stop(_ context.Context, name string) error { return m.call("stop", name) }

func (m *fakeManager) Ask(_ context.Context, verb, name string) error { return m.call(verb, name) }

func (m *fakeManager) StartSlice(_ context.Context, name string, _ unit.Slice) error {
	return m.call("slice", name)
}

func (m *fakeManager) Limits(context.Context, string) (map[string]any, error) { return nil, nil }

func (m *fakeManager) Job(context.Context, string) (string, error) { return m.job, nil }

func (m *fakeManager) Free(_ context.Context, name string) error { return m.call("free", name) }

func (m *fakeManager) ResetFailed(_ context.Context, name string) error {
	return m.call("reset", name)
}

func (m *fakeManager) Properties(_ context.Context, name string) (unit.Properties, error) {
	if m.state != nil {
		if state := m.state(name); state != "" {
			return unit.Properties{LoadState: "loaded", ActiveState: state, Transient: true}, nil
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.active[name] {
		return unit.Properties{LoadState: "loaded", ActiveState: "active", Transient: true, Restart: m.restart, HasJob: m.job != ""}, nil
	}
	if m.failed[name] {
		return unit.Properties{LoadState: "loaded", ActiveState: "failed", Transient: true}, nil
	}
	return unit.Properties{LoadState: "not-found", ActiveState: "inactive"}, nil
}

func (*fakeManager) Close() {}

// world is a player with its surroundings.
type world struct {
	*Player
	t        *testing.T
	manager  *fakeManager
	storage  *fakeStore
	env      map[string]string
	mu       sync.Mutex
	warnings []string
}

// hold takes the lock of a name, as another runner has it, until release is called.
func (w *world) hold(name string) (release func()) {
	w.t.Helper()
	held, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- w.Containers.WithLock(context.Background(), name, func(*runner.Lock) error {
			close(held)
			<-done
			return nil
		})
	}()
	select {
	case <-held:
	case err := <-ended:
		w.t.Fatal(err)
	}
	release = sync.OnceFunc(func() {
		close(done)
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(release)
	return release
}

// newWorld makes a player as a shell's child has it.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t:       t,
		manager: &fakeManager{active: map[string]bool{}, failed: map[string]bool{}, fails: map[string]error{}},
		storage: &fakeStore{root: t.TempDir()}, env: map[string]string{"HOME": t.TempDir()},
	}
	conf, err := config.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	containers := &runner.Engine{
		User: rootless.Identity{RunDir: run, UID: os.Getuid()}, RunDir: filepath.Join(run, "podunit"), Store: w.storage, Config: conf,
		Volumes: volume.New(w.storage.root), Secrets: secret.Source{Store: secret.New(w.storage.root)},
	}
	w.Player = New(&service.Engine{
		Config: service.Config{
			Lookup:  func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
			Program: "/usr/bin/podunit", Directory: "/",
			Warn: func(message string) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.warnings = append(w.warnings, message)
			},
		},
		Containers: containers, Pods: &pod.Engine{Containers: containers},
		Connect:   func(context.Context) (service.Manager, error) { return w.manager, nil },
		Complaint: func(context.Context, string, time.Time, time.Duration) (string, string) { return "", "" },
	})
	return w
}

// warned tells whether there was a warning with these words.
func (w *world) warned(words ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.warnings, func(text string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(text, word) })
	})
}

// mounts has a container that exists and mounts a volume.
func (w *world) mounts(t *testing.T, name, volume string) {
	t.Helper()
	r := runner.Record{Podunit: 1, Spec: spec.Container{Mounts: []spec.Mount{{Type: spec.MountVolume, Source: volume, Destination: "/d"}}}}
	metadata, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	w.storage.mu.Lock()
	defer w.storage.mu.Unlock()
	w.storage.containers = append(w.storage.containers, storage.Container{ID: runner.NewID(), Names: []string{name}, Metadata: string(metadata)})
}

// exists tells whether there is a volume.
func (w *world) exists(t *testing.T, name string) bool {
	t.Helper()
	_, err := w.volumes.Get(name)
	if err != nil && !errors.Is(err, volume.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

// pulls notes how an image was pulled last, and has none.
type pulls struct{ o image.PullOptions }

func (p *pulls) Pull(_ context.Context, name string, o image.PullOptions) (*image.Image, error) {
	p.o = o
	return nil, fmt.Errorf("%s: %w", name, image.ErrUnknown)
}
