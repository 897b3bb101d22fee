// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"go.podman.io/storage"
)

// records is a storage that has nothing but containers, by ID.
type records struct {
	storage.Store
	root string
	all  map[string]container.Record
}

func (s records) GraphRoot() string { return s.root }

func (s records) List() (names []string) {
	for _, r := range s.all {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}

func (s records) Containers() (all []storage.Container, err error) {
	for _, r := range s.all {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		all = append(all, storage.Container{ID: r.ID, Names: []string{r.Name}, Metadata: string(b)})
	}
	return all, nil
}

func (s records) Container(nameOrID string) (*storage.Container, error) {
	all, err := s.Containers()
	for _, c := range all {
		if c.ID == nameOrID || c.Names[0] == nameOrID {
			return &c, nil
		}
	}
	return nil, errors.Join(err, storage.ErrContainerUnknown)
}

func (s records) DeleteContainer(id string) error {
	delete(s.all, id)
	return nil
}

// asked is a manager that knows the states of some units; others are gone.
type asked struct {
	Manager
	states map[string]unit.Properties
}

func (m asked) Properties(_ context.Context, name string) (unit.Properties, error) {
	if p, ok := m.states[name]; ok {
		return p, nil
	}
	return unit.Properties{LoadState: "not-found", ActiveState: "inactive"}, nil
}

func (asked) Close() {}

// withRecords is an engine with containers that have ended.
func withRecords(t *testing.T, all ...container.Record) (*Engine, records) {
	t.Helper()
	store := records{root: t.TempDir(), all: map[string]container.Record{}}
	c := &container.Engine{RunDir: t.TempDir(), Store: store}
	if err := os.MkdirAll(filepath.Join(c.RunDir, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		r.Podunit, r.ID = 1, container.NewID()
		store.all[r.ID] = r
	}
	c.Runtime.Command = "sh" // it is never executed
	return &Engine{Containers: c, Pods: &pod.Engine{Containers: c}, Config: Config{Lookup: func(string) (string, bool) { return "", false }}}, store
}

// TestSweep removes what units that do not run any more have left.
func TestSweep(t *testing.T) {
	left := func(name, unit string) container.Record {
		return container.Record{Name: name, Unit: unit, Spec: spec.Container{Remove: true}}
	}
	e, store := withRecords(t,
		left("withdrawn", "gone.service"), left("stopped", "stopped.service"), left("failed", "failed.service"),
		left("ends", "ends.service"), left("runs", "runs.service"), left("starts", "starts.service"), left("by-hand", ""),
		container.Record{Name: "stays", Unit: "gone.service"},
	)
	e.Connect = func(context.Context) (Manager, error) {
		return asked{states: map[string]unit.Properties{
			"stopped.service": {ActiveState: "inactive"}, "failed.service": {ActiveState: "failed"},
			"ends.service": {ActiveState: "deactivating"}, "runs.service": {ActiveState: "active"},
			"starts.service": {ActiveState: "inactive", HasJob: true},
		}}, nil
	}
	if err := e.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got, want := store.List(), []string{"by-hand", "ends", "runs", "starts", "stays"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
}

// TestARunByHandSweeps: who makes a container by hand removes what withdrawn units have left, and
// the start of a unit leaves that to others.
func TestARunByHandSweeps(t *testing.T) {
	for _, inService := range []bool{false, true} {
		w := newWorld(t)
		w.made("left", func(r *container.Record) { r.Unit, r.Spec.Remove = "gone.service", true })
		if inService {
			w.inService("web.service")
		}
		w.Containers.Runtime.Command = "sh" // it is never executed
		if _, err := w.Create(t.Context(), w.asked("web"), nil); err != nil || w.exists("left") == !inService {
			t.Errorf("in a service %t: %v; it is there: %t; %q", inService, err, w.exists("left"), w.warnings)
		}
	}
}

// TestSweepOfPods removes what a power cut has left of pods whose units do not run.
func TestSweepOfPods(t *testing.T) {
	ofUnit := spec.Pod{Replace: true, MainPIDFile: "/run/pod.pid"}
	left := func(name, unit string) pod.Record {
		return pod.Record{ID: container.NewID(), Name: name, Unit: unit, BootID: "earlier", Spec: ofUnit}
	}
	member := left("peopled", "gone.service")
	e, _ := withRecords(t, container.Record{Name: "by-hand", PodID: member.ID})
	now := left("of-now", "gone.service")
	now.BootID = container.BootID()
	named := left("made-once", "gone.service")
	named.Spec.Replace = false
	dir := filepath.Join(e.Containers.Store.GraphRoot(), "podunit", "pods")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, r := range []pod.Record{member, now, named, left("withdrawn", "gone.service"), left("failed", "failed.service"), left("runs", "runs.service"), left("by-hand", "")} {
		if err := container.WriteJSON(filepath.Join(dir, r.Name+".json"), r); err != nil {
			t.Fatal(err)
		}
	}
	e.Connect = func(context.Context) (Manager, error) {
		return asked{states: map[string]unit.Properties{"failed.service": {ActiveState: "failed"}, "runs.service": {ActiveState: "activating"}}}, nil
	}
	if err := e.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	var names []string
	all, err := e.Pods.List()
	for _, r := range all {
		names = append(names, r.Name)
	}
	if want := []string{"by-hand", "made-once", "of-now", "peopled", "runs"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("left %q, want %q; %v", names, want, err)
	}
}

// TestSweepAsksNobody where nothing is left.
func TestSweepAsksNobody(t *testing.T) {
	e, _ := withRecords(t, container.Record{Name: "stays", Unit: "gone.service"})
	e.Connect = func(context.Context) (Manager, error) { return nil, errors.New("no manager") }
	if err := e.Sweep(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestDependentsByName: a name may look like the beginning of another container's ID.
func TestDependentsByName(t *testing.T) {
	user := container.Record{ID: "1", Name: "web", Spec: spec.Container{PIDNS: spec.Namespace{Mode: "container", Container: "db"}}}
	db, other := container.Record{ID: "2", Name: "db"}, container.Record{ID: "db3", Name: "other"}
	all := []container.Record{user, db, other}
	if len(dependents(all, db)) != 1 || len(dependents(all, other)) != 0 {
		t.Errorf("%+v, %+v", dependents(all, db), dependents(all, other))
	}
	if all = []container.Record{user, other}; len(dependents(all, other)) != 1 {
		t.Error("by the beginning of an ID there is none")
	}
}

// TestRemoveOfWhatOthersUse is refused by hand, and not at the end of the container's own unit.
func TestRemoveOfWhatOthersUse(t *testing.T) {
	network := spec.Container{Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetContainer, Name: "db"}}}}
	pids := spec.Container{PIDNS: spec.Namespace{Mode: "container", Container: "db"}}
	e, store := withRecords(t, container.Record{Name: "db"}, container.Record{Name: "web", Spec: network}, container.Record{Name: "top", Spec: pids}, container.Record{Name: "other"})
	named := func(name string) container.Record {
		all, err := e.Containers.List()
		if err != nil {
			t.Fatal(err)
		}
		return all[slices.IndexFunc(all, func(r container.Record) bool { return r.Name == name })]
	}
	var needed DependentsError
	err := e.Remove(context.Background(), named("db"), Removal{Force: true})
	slices.Sort(needed.Dependents)
	if !errors.As(err, &needed) || len(needed.Dependents) != 2 || needed.Hint() == "" || !slices.Contains(store.List(), "db") {
		t.Errorf("got %v", err)
	}
	if err := e.needed(named("other")); err != nil {
		t.Error(err)
	}
	if err := e.needed(named("web")); err != nil {
		t.Error(err)
	}
	e.Own = unit.Own{Name: "db.service", Exec: true}
	if err := e.Remove(context.Background(), named("db"), Removal{Force: true}); err != nil || slices.Contains(store.List(), "db") {
		t.Errorf("in its own unit: %v", err)
	}
}
