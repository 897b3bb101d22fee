// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/rootless"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage"
)

// fakeStore is a storage in memory, with directories in a real one.
type fakeStore struct {
	storage.Store
	root string

	mu         sync.Mutex
	containers []storage.Container
}

func (s *fakeStore) GraphRoot() string { return s.root }

func (s *fakeStore) RunRoot() string { return filepath.Join(s.root, "run") }

func (*fakeStore) GraphDriverName() string { return "fake" }

func (s *fakeStore) find(nameOrID string) int {
	return slices.IndexFunc(s.containers, func(c storage.Container) bool {
		return c.ID == nameOrID || slices.Contains(c.Names, nameOrID)
	})
}

func (s *fakeStore) Container(nameOrID string) (*storage.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(nameOrID)
	if i < 0 {
		return nil, storage.ErrContainerUnknown
	}
	c := s.containers[i]
	return &c, nil
}

func (s *fakeStore) Containers() ([]storage.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.containers), nil
}

func (s *fakeStore) CreateContainer(id string, names []string, _, _, metadata string, _ *storage.ContainerOptions) (*storage.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if s.find(name) >= 0 {
			return nil, storage.ErrDuplicateName
		}
	}
	c := storage.Container{ID: id, Names: names, Metadata: metadata}
	s.containers = append(s.containers, c)
	return &c, os.MkdirAll(filepath.Join(s.root, "c", id), 0o700)
}

func (s *fakeStore) SetMetadata(id, metadata string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return storage.ErrContainerUnknown
	}
	if s.containers[i].ID != id { // the storage takes the layer, whose ID is the same
		s.containers[i].Metadata = metadata
	}
	return nil
}

func (s *fakeStore) DeleteContainer(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return storage.ErrContainerUnknown
	}
	s.containers = slices.Delete(s.containers, i, i+1)
	return os.RemoveAll(filepath.Join(s.root, "c", id))
}

func (s *fakeStore) ContainerDirectory(id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(id) < 0 {
		return "", storage.ErrContainerUnknown
	}
	return filepath.Join(s.root, "c", id), nil
}

func (*fakeStore) DeleteLayer(string) error { return storage.ErrLayerUnknown }

func (*fakeStore) Unmount(string, bool) (bool, error) { return false, nil }

func (*fakeStore) Layers() ([]storage.Layer, error) { return nil, nil }

func (*fakeStore) Images() ([]storage.Image, error) { return nil, nil }

// fakeManager is a service manager that notes what it is asked for.
type fakeManager struct {
	jobs  map[string]string // what is asked of units
	mu    sync.Mutex
	calls []string
	units map[string]unit.Properties
	fails map[string]error // by the call
	// starts, stops and restarts, if set, are what the start, the stop and the restart of a unit do.
	starts   func(name string, s unit.Service) error
	stops    func(name string) error
	restarts func(name string) error
	services map[string]unit.Service
	slice    unit.Slice // the last one that was started
	timers   []unit.Timer
}

// call notes a call and returns the error that is planned for it.
func (m *fakeManager) call(words ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := strings.Join(words, " ")
	m.calls = append(m.calls, text)
	return m.fails[text]
}

// asked tells whether something was asked for.
func (m *fakeManager) asked(call string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.calls, call)
}

func (m *fakeManager) StartService(_ context.Context, name string, s unit.Service) error {
	if err := m.call("start", name); err != nil {
		return err
	}
	m.services[name] = s
	if m.starts == nil {
		return nil
	}
	return m.starts(name, s)
}

func (m *fakeManager) StartScope(_ context.Context, _, _, slice string) (unit.Own, error) {
	return unit.Own{Name: "podunit-x.scope", Cgroup: "/" + slice + "/podunit-x.scope"}, m.call("scope")
}

func (m *fakeManager) Start(_ context.Context, name string) error { return m.call("start", name) }

func (m *fakeManager) Stop(_ context.Context, name string) error {
	if err := m.call("stop", name); err != nil || m.stops == nil {
		return err
	}
	return m.stops(name)
}

func (m *fakeManager) Restart(_ context.Context, name string) error {
	if err := m.call("restart", name); err != nil || m.restarts == nil {
		return err
	}
	return m.restarts(name)
}

func (m *fakeManager) Ask(_ context.Context, verb, name string) error {
	return m.call("ask", verb, name)
}

func (m *fakeManager) StartSlice(_ context.Context, name string, s unit.Slice) error {
	m.slice = s
	return m.call("start slice", name)
}

func (m *fakeManager) Limits(_ context.Context, service string) (map[string]any, error) {
	return nil, m.call("limits", service)
}

func (m *fakeManager) StartTimer(_ context.Context, name string, t unit.Timer) error {
	m.timers = append(m.timers, t)
	return m.call("timer", name[:strings.LastIndex(name, "-")]) // the rest is never the same
}

func (m *fakeManager) Properties(_ context.Context, name string) (unit.Properties, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p, ok := m.units[name]; ok {
		return p, nil
	}
	return unit.Properties{LoadState: "not-found", ActiveState: "inactive"}, nil
}

func (m *fakeManager) Ended(ctx context.Context, name string) (pid, code int, err error) {
	p, err := m.Properties(ctx, name)
	if p.MainPID != 0 {
		return 0, 0, err
	}
	return p.Ended, p.ExitCode, err
}

func (m *fakeManager) Job(_ context.Context, name string) (string, error) { return m.jobs[name], nil }

func (m *fakeManager) Free(_ context.Context, name string) error { return m.call("free", name) }

func (m *fakeManager) ResetFailed(_ context.Context, name string) error {
	return m.call("reset", name)
}

func (*fakeManager) Close() {}

// set says how a unit is.
func (m *fakeManager) set(name string, p unit.Properties) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.units[name] = p
}

// images has one image.
type images struct{ err error }

func (i images) Pull(context.Context, string, image.PullOptions) (*image.Image, error) {
	return &image.Image{ID: "f00", Names: []string{"localhost/a:latest"}}, i.err
}

// world is an engine with its surroundings.
type world struct {
	*Engine
	t        *testing.T
	manager  *fakeManager
	store    *fakeStore
	env      map[string]string
	warnings []string
	complain string // what podunit said in a unit that failed

	mu     sync.Mutex
	events []journal.Event
}

// happened are the events up to now, and how what has ended did, if that is known; then they are
// forgotten.
func (w *world) happened() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var words []string
	for _, e := range w.events {
		word := e.Type + " " + e.Status
		if !e.Made.IsZero() {
			word += " made"
		}
		if e.ExitCode != nil {
			word += " " + strconv.Itoa(*e.ExitCode)
		}
		words = append(words, word)
	}
	w.events = nil
	return strings.Join(words, ", ")
}

// newWorld makes an engine as a shell's child has it.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, env: map[string]string{}, store: &fakeStore{root: t.TempDir()},
		manager: &fakeManager{units: map[string]unit.Properties{}, fails: map[string]error{}, services: map[string]unit.Service{}},
	}
	conf, err := config.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	containers := &container.Engine{
		User: rootless.Identity{RunDir: run}, RunDir: filepath.Join(run, "podunit"), Store: w.store, Config: conf,
		Runtime: runc.Runtime{Command: "/nonexistent/crun", Root: filepath.Join(run, "runtime")},
	}
	w.Engine = newEngine(Config{
		Lookup:  func(name string) (string, bool) { v, ok := w.env[name]; return v, ok },
		Program: "/usr/bin/podunit", Directory: "/", Environ: []string{"PATH=/bin", "SECRET=x"},
		OpenImages: func(storage.Store, string) Images { return images{} },
		Warn:       func(message string) { w.warnings = append(w.warnings, message) },
		Log:        func(string) {},
		Event: func(event journal.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, event)
		},
	}, containers, unit.Own{})
	w.Connect = func(context.Context) (Manager, error) { return w.manager, nil }
	w.Complaint = func(context.Context, string, time.Time, time.Duration) (string, string) {
		if w.complain == "" {
			return "", ""
		}
		return w.complain, "look there"
	}
	w.divide = func(string) (cgroup.Payload, error) { return cgroup.Payload{}, nil }
	return w
}

// inService makes the process one that a service executed, and returns what the manager is told.
func (w *world) inService(name string) *net.UnixConn {
	w.t.Helper()
	w.Own = unit.Own{Name: name, Cgroup: "/" + name, Exec: true}
	path := filepath.Join(w.t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	w.Notify = notify.FromEnv(func(string) (string, bool) { return path, true })
	w.t.Setenv(notify.Env, path)
	return conn
}

// asked is what a command line asks for, with a root that needs no image and no network of its own.
func (w *world) asked(name string) *spec.Container {
	return &spec.Container{
		Name: name, Rootfs: &spec.Rootfs{Path: w.t.TempDir()}, Command: []string{"true"}, SdNotify: "conmon",
		Log: spec.Log{Driver: "none"}, Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetHost}}},
	}
}

// made is a container that exists.
func (w *world) made(name string, change func(*container.Record)) container.Record {
	w.t.Helper()
	r := w.Containers.Prepare(*w.asked(name), container.Image{}, nil)
	if change != nil {
		change(&r)
	}
	if err := w.Containers.Create(context.Background(), &r, nil); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// running gives a container a process that runs, watched by a unit.
func (w *world) running(r container.Record, unit string) *exec.Cmd {
	w.t.Helper()
	return w.runningAs(r, unit, "sleep", "600")
}

// runningAs does that with a program.
func (w *world) runningAs(r container.Record, unit, program string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	pid := cmd.Process.Pid
	w.status(r, container.Status{PID: pid, StartTicks: process.StartTicks(pid), StartedAt: time.Now(), Unit: unit})
	// What it runs with is a file from then on.
	if err := os.WriteFile(filepath.Join(w.Containers.Dir(r.ID), "config.json"), []byte(`{"process":{}}`), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return cmd
}

// status notes the status of a container.
func (w *world) status(r container.Record, s container.Status) {
	w.t.Helper()
	dir := w.Containers.Dir(r.ID)
	if err := errors.Join(os.MkdirAll(dir, 0o700), container.WriteJSON(filepath.Join(dir, "status.json"), s)); err != nil {
		w.t.Fatal(err)
	}
}

// alive tells whether the first process of a container runs.
func (w *world) alive(r container.Record) bool {
	w.t.Helper()
	s, err := w.Containers.Status(r.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.PID != 0
}

// exists tells whether there is a container.
func (w *world) exists(nameOrID string) bool {
	_, err := w.Containers.LookupExact(nameOrID)
	return err == nil
}

// locks names the locks whose files are there.
func (w *world) locks() []string {
	entries, _ := os.ReadDir(filepath.Join(w.Containers.RunDir, "lock"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// free tells whether a lock is free.
func (w *world) free(name string) bool {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return w.Containers.WithLock(ctx, name, func(*container.Lock) error { return nil }) == nil
}

// hold takes the lock of a name, as another runner has it, until release is called.
func (w *world) hold(name string) (release func()) {
	w.t.Helper()
	held, done, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- w.Containers.WithLock(context.Background(), name, func(*container.Lock) error {
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

// pod is a pod that exists.
func (w *world) pod(name string) pod.Record {
	w.t.Helper()
	p, err := w.CreatePod(context.Background(), spec.Pod{Name: name, Replace: true}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}
