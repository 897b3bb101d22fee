// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/unit"
	"go.podman.io/storage"
)

// TestHealth is what an update makes of the checks of a container that runs.
func TestHealth(t *testing.T) {
	timed := health.Config{Regular: health.Check{Test: []string{"CMD", "true"}, Interval: time.Second}}
	byHand := timed
	byHand.Regular.Interval = 0
	for _, c := range []struct {
		name   string
		config *health.Config
		status health.Status
		ended  bool
		want   string
	}{
		{"no check", nil, "", false, ""},
		{"none has decided", &timed, health.Starting, false, "starting"},
		{"resumed", &timed, health.Reset, false, "starting"},
		{"healthy", &timed, health.Healthy, false, "healthy"},
		{"unhealthy", &timed, health.Unhealthy, false, "unhealthy"},
		{"only people run it", &byHand, health.Starting, false, ""},
		{"a person has run it", &byHand, health.Unhealthy, false, "unhealthy"},
		{"the container has ended", &timed, health.Unhealthy, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &container.Engine{RunDir: t.TempDir()}
			r := container.Record{ID: strings.Repeat("a", 64), Health: c.config}
			if err := os.MkdirAll(x.Dir(r.ID), 0o700); err != nil {
				t.Fatal(err)
			}
			status := container.Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())}
			if c.ended {
				status.StartTicks++
			}
			if err := container.WriteJSON(x.Dir(r.ID)+"/status.json", status); err != nil {
				t.Fatal(err)
			}
			if c.config != nil {
				files := x.HealthFiles(r.ID)
				if err := files.Begin(health.Plan{Config: *c.config, ID: r.ID}, time.Now()); err != nil {
					t.Fatal(err)
				}
				if err := files.Save(health.State{Status: c.status}); err != nil {
					t.Fatal(err)
				}
			}
			got, err := (&Host{Engine: &service.Engine{Containers: x}}).health(r)
			if got != c.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// A check whose result cannot be read has not passed.
func TestUnreadableHealth(t *testing.T) {
	x := &container.Engine{RunDir: t.TempDir()}
	r := container.Record{ID: strings.Repeat("a", 64), Health: &health.Config{}}
	files := x.HealthFiles(r.ID)
	if err := os.MkdirAll(files.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := files.Begin(health.Plan{ID: r.ID}, time.Now()); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadDir(files.Dir)
	if err != nil || len(written) == 0 {
		t.Fatal(written, err)
	}
	for _, f := range written { // a directory in the place of a file gives an error to root too
		path := filepath.Join(files.Dir, f.Name())
		if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := (&Host{Engine: &service.Engine{Containers: x}}).health(r); err == nil {
		t.Errorf("it is %q, and no error", got)
	}
}

// heldStore has some containers.
type heldStore struct {
	storage.Store
	all []storage.Container
}

func (s heldStore) Containers() ([]storage.Container, error) { return s.all, nil }

// knownUnits is a manager that can be asked for units.
type knownUnits struct {
	service.Manager
	units map[string]unit.Properties
}

func (m knownUnits) Properties(_ context.Context, name string) (unit.Properties, error) {
	if p, ok := m.units[name]; ok {
		return p, nil
	}
	return unit.Properties{LoadState: "not-found"}, nil
}

func (knownUnits) Close() {}

// TestContainersOfAUnit: a container that was made by hand is of its service when that has failed,
// too, or the image before could not be given back to it. It is nobody's to update then. The service
// may be another container's by now, or a unit file's.
func TestContainersOfAUnit(t *testing.T) {
	x := &container.Engine{RunDir: t.TempDir()}
	held := heldStore{}
	ids := map[string]string{}
	for i, c := range []struct {
		name, made, unit string
		runs             bool
	}{
		{"failed", "", "failed.service", false}, {"before", "", "failed.service", false},
		{"b", "", "a.service", false},
		{"web", "", "web.service", false}, {"systemd-web", "web.service", "web.service", true},
		{"c", "", "gone.service", false}, {"gone", "", "gone.service", false}, {"d", "", "old.service", false},
		{"late", "", "file.service", false}, {"systemd-file", "file.service", "", false},
		{"runs", "", "earlier.service", true}, {"never", "", "", false},
	} {
		id := strings.Repeat(string(rune('a'+i)), 64)
		ids[c.name] = id
		record, err := json.Marshal(container.Record{Podunit: 1, Unit: c.made})
		if err != nil {
			t.Fatal(err)
		}
		held.all = append(held.all, storage.Container{ID: id, Names: []string{c.name}, Metadata: string(record)})
		status := container.Status{Unit: c.unit}
		if c.runs {
			status.PID, status.StartTicks = os.Getpid(), process.StartTicks(os.Getpid())
		}
		if err := errors.Join(os.MkdirAll(x.Dir(id), 0o700), container.WriteJSON(filepath.Join(x.Dir(id), "status.json"), status)); err != nil {
			t.Fatal(err)
		}
	}
	x.Store = held
	m := knownUnits{units: map[string]unit.Properties{
		"failed.service": {LoadState: "loaded", Transient: true, Argument: ids["failed"]},
		"a.service":      {LoadState: "loaded", Transient: true, Argument: ids["b"]},
		"web.service":    {LoadState: "loaded", SourcePath: "web.container", Argument: "localhost/web"},
	}}
	h := &Host{Engine: &service.Engine{Containers: x, Connect: func(context.Context) (service.Manager, error) { return m, nil }}}
	for name, want := range map[string]string{
		"failed.service": "failed", "a.service": "b", "web.service": "systemd-web", "gone.service": "gone", "old.service": "d",
		"earlier.service": "runs", "never.service": "",
	} {
		list, err := h.containers(t.Context(), name, time.Minute)
		var names []string
		for _, r := range list {
			names = append(names, r.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	for _, r := range h.records {
		if _, matters := h.unitOf(r); matters != (r.Name == "runs" || r.Unit != "") {
			t.Errorf("%s matters: %t", r.Name, matters)
		}
	}
	// A unit that is gone, and has made a container before: it is that one's.
	list, err := h.containers(t.Context(), "file.service", time.Minute)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	for range 2 {
		if r, hand, err := byHand("file.service", list, Known{}); r.Name != "systemd-file" || hand || err != nil {
			t.Errorf("file.service is %s's, by hand: %t, %v", r.Name, hand, err)
		}
		slices.Reverse(list)
	}
	h.Engine.Connect = func(context.Context) (service.Manager, error) { return nil, syscall.ECONNREFUSED }
	if list, err := h.containers(t.Context(), "a.service", time.Minute); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("without a manager: %v, %v", list, err)
	}
}

// brokenStore cannot list containers.
type brokenStore struct{ storage.Store }

func (brokenStore) Containers() ([]storage.Container, error) { return nil, syscall.EMFILE }

// A unit whose containers cannot be listed has not none, and its restart is not held against its
// image.
func TestUnreadableContainers(t *testing.T) {
	h := &Host{Engine: &service.Engine{Containers: &container.Engine{Store: brokenStore{}}}}
	if list, err := h.containers(t.Context(), "web.service", 0); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("containers: %v, %v", list, err)
	}
	if _, err := h.Remember(t.Context(), "web.service"); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("remember: %v", err)
	}
	if err := h.Restart(t.Context(), "web.service", Known{}); !errors.As(err, new(HinderedError)) {
		t.Errorf("restart: %v", err)
	}
}
