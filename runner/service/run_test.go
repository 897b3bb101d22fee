// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

func TestAContainerRunByHandIsAService(t *testing.T) {
	w := newWorld(t)
	w.Modules, w.Runtime = []string{"one", "two"}, "crun"
	w.manager.starts = func(string, unit.Service) error {
		if !w.free("web") {
			t.Error("the lock of its name is held, which the service's own start needs")
		}
		if w.free("hand@web") {
			t.Error("another start by hand of that name is not kept out")
		}
		return nil
	}
	c := w.asked("web")
	c.Detach, c.CIDFile = true, filepath.Join(t.TempDir(), "id")
	c.Restart = spec.Restart{Policy: "unless-stopped"}
	r, code, err := w.Run(context.Background(), c, []string{"podunit", "run"})
	if err != nil || code != 0 {
		t.Fatalf("%d, %v", code, err)
	}
	s := w.manager.services["web.service"]
	if got, want := strings.Join(s.Start, " "), "/usr/bin/podunit --module=one --module=two --runtime=crun start "+r.ID; got != want {
		t.Errorf("it executes %q, not %q", got, want)
	}
	if s.Restart != "always" || s.Collect || !slices.Contains(s.Environment, "PODMAN_SYSTEMD_UNIT=web.service") || slices.Contains(s.Environment, "SECRET=x") {
		t.Errorf("%+v", s)
	}
	if strings.Join(s.StopPost, " ") != "/usr/bin/podunit cleanup "+r.ID || s.StopTimeout <= w.StopTimeoutOf(r) {
		t.Errorf("%v, %s", s.StopPost, s.StopTimeout)
	}
	if id, err := os.ReadFile(c.CIDFile); err != nil || string(id) != r.ID {
		t.Errorf("the file for its ID has %q, %v", id, err)
	}
	if !w.exists("web") || slices.Contains(w.locks(), "hand@web") {
		t.Errorf("it is there: %t, locks %v", w.exists("web"), w.locks())
	}
}

func TestAServiceThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.complain = runc.ErrNotFound.Error() + `: exec: "nosuch"`
	w.manager.fails["start web.service"] = unit.JobError{Verb: "start", Unit: "web.service", Job: "failed", Result: "exit-code"}
	c := w.asked("web")
	c.Detach, c.Remove = true, true
	_, _, err := w.Run(context.Background(), c, nil)
	if !errors.Is(err, runc.ErrNotFound) || hint.Of(err) != "look there" || !strings.HasPrefix(err.Error(), "web.service: command not found") {
		t.Errorf("%v; hint %q", err, hint.Of(err))
	}
	if w.exists("web") || len(w.locks()) != 0 || !w.manager.asked("stop web.service") {
		t.Errorf("it is there: %t; locks %v; %v", w.exists("web"), w.locks(), w.manager.calls)
	}
}

func TestAServiceWhoseFailureNobodyExplains(t *testing.T) {
	w := newWorld(t)
	failed := unit.JobError{Verb: "start", Unit: "web.service", Job: "timeout"}
	w.manager.fails["start web.service"] = failed
	c := w.asked("web")
	c.Detach = true
	if _, _, err := w.Run(context.Background(), c, nil); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

// TestAContainerThatGoesWithItsEnd: the words are those that end early, see
// runner/constructor_test.go.
func TestAContainerThatGoesWithItsEnd(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", func(r *container.Record) { r.Spec.Remove = true })
	s := w.containerService(r, "web.service")
	if want := []string{"/usr/bin/podunit", "rm", "-v", "-f", "-i", r.ID}; !slices.Equal(s.Stop, want) || !slices.Equal(s.StopPost, want) || !s.Collect {
		t.Errorf("%q, %q, %t", s.Stop, s.StopPost, s.Collect)
	}
}

func TestCreateStartsNothing(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Create(context.Background(), w.asked("web"), nil); err != nil || !w.exists("web") || len(w.manager.calls) != 0 {
		t.Errorf("%v, %t, %v", err, w.exists("web"), w.manager.calls)
	}
	_, err := w.Create(context.Background(), w.asked("web"), nil)
	if !errors.Is(err, container.ErrNameInUse) || hint.Of(err) == "" {
		t.Errorf("a name that is taken: %v", err)
	}
	if !w.free("web") {
		t.Error("the lock is still held")
	}
}

// TestAfterAKilledForegroundRun: what a killed run --rm has left does not keep the name, unless it
// runs, or somebody else made it.
func TestAfterAKilledForegroundRun(t *testing.T) {
	for _, c := range []struct {
		foreground, remove, runs, free bool
	}{
		{foreground: true, remove: true, free: true},
		{foreground: true, remove: true, runs: true},
		{foreground: true},
		{remove: true},
	} {
		w := newWorld(t)
		old := w.made("web", func(r *container.Record) { r.Foreground, r.Spec.Remove = c.foreground, c.remove })
		if c.runs {
			w.running(old, "")
		}
		r, err := w.Create(context.Background(), w.asked("web"), nil)
		if c.free && (err != nil || r.ID == old.ID || w.exists(old.ID)) || !c.free && (!errors.Is(err, container.ErrNameInUse) || !w.exists(old.ID)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestNamesThatOthersHave(t *testing.T) {
	w := newWorld(t)
	if _, err := w.store.CreateContainer(container.NewID(), []string{"theirs"}, "", "", "{}", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreatePod(context.Background(), spec.Pod{Name: "media"}, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"theirs": "another tool", "media": "by a pod"} {
		c := w.asked(name)
		c.Replace = true
		if _, err := w.Create(context.Background(), c, nil); err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		if slices.Contains(w.locks(), name) {
			t.Errorf("the lock of %s stays", name)
		}
	}
}

func TestReplaceStopsTheUnitFirst(t *testing.T) {
	w := newWorld(t)
	old := w.made("web", nil)
	process := w.running(old, "other.service")
	w.manager.stops = func(name string) error {
		if name != "other.service" || !w.free("web") {
			t.Errorf("%s is stopped, the lock is free: %t", name, w.free("web"))
		}
		return process.Process.Kill()
	}
	c := w.asked("web")
	c.Replace = true
	r, err := w.Create(context.Background(), c, nil)
	if err != nil || !w.manager.asked("stop other.service") || w.exists(old.ID) || !w.exists(r.ID) {
		t.Errorf("%v; %v; old %t, new %t", err, w.manager.calls, w.exists(old.ID), w.exists(r.ID))
	}
}

// TestAReplacementThatFails leaves the container that was to go as it was, running, and no lock.
func TestAReplacementThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(w *world, c *spec.Container)
		want    string
		stops   bool
	}{
		"its image is nowhere": {func(w *world, c *spec.Container) {
			c.Rootfs, c.Image = nil, "localhost/nosuch"
			w.Images = images{err: errors.New("no registry")}
		}, "no registry", false},
		"a service may not limit its time": {func(w *world, c *spec.Container) {
			w.inService("web.service")
			c.MaxRun = time.Second
		}, "--timeout", false},
		"the unit cannot be stopped": {func(w *world, _ *spec.Container) {
			w.manager.fails["stop other.service"] = unit.JobError{Verb: "stop", Unit: "other.service", Job: "timeout"}
		}, "other.service", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			old := w.made("web", nil)
			w.running(old, "other.service")
			asked := w.asked("web")
			asked.Replace = true
			c.prepare(w, asked)
			_, err := w.Create(context.Background(), asked, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if w.manager.asked("stop other.service") != c.stops || !w.free("web") {
				t.Errorf("%v; the lock is free: %t", w.manager.calls, w.free("web"))
			}
			if !w.alive(old) || !w.exists(old.ID) {
				t.Errorf("alive %t, there %t", w.alive(old), w.exists(old.ID))
			}
		})
	}
}

func TestReplaceWaitsForNoUnitThatHasEnded(t *testing.T) {
	w := newWorld(t)
	old := w.made("web", nil)
	w.status(old, container.Status{Unit: "other.service"})
	c := w.asked("web")
	c.Replace = true
	if _, err := w.Create(context.Background(), c, nil); err != nil || w.manager.asked("stop other.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
	w.manager.set("other.service", unit.Properties{LoadState: "loaded", ActiveState: "activating"}) // between two restarts
	old, err := w.Containers.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	w.status(old, container.Status{Unit: "other.service"})
	if _, err := w.Create(context.Background(), c, nil); err != nil || !w.manager.asked("stop other.service") {
		t.Errorf("one that starts again is not stopped: %v; %v", err, w.manager.calls)
	}
}

func TestAnUnitTakesThePlaceOfItsOwnRemains(t *testing.T) {
	w := newWorld(t)
	w.inService("web.service")
	old := w.made("web", func(r *container.Record) { r.Unit = "web.service" })
	r, err := w.Create(context.Background(), w.asked("web"), nil)
	if err != nil || w.exists(old.ID) || r.Unit != "web.service" {
		t.Errorf("%v; old %t, unit %q", err, w.exists(old.ID), r.Unit)
	}
}

func TestWarningsAreSaidOnceByTheProgramThatGoesOn(t *testing.T) {
	w := newWorld(t)
	c := w.asked("")
	c.Rootfs, c.Image, c.Warnings, c.Pull.Policy = nil, "a", []string{"mind the gap"}, "missing"
	w.Images = images{err: &image.BeyondError{What: "a"}}
	if _, err := w.Create(context.Background(), c, nil); err == nil || len(w.warnings) != 0 {
		t.Errorf("%v; %q", err, w.warnings)
	}
	w.Images = images{err: errors.New("no registry")}
	if _, err := w.Create(context.Background(), c, nil); err == nil || !slices.Equal(w.warnings, c.Warnings) {
		t.Errorf("%v; %q", err, w.warnings)
	}
	if len(w.locks()) != 0 {
		t.Errorf("locks before there is an image: %v", w.locks())
	}
}

func TestAPodThatDoesNotRun(t *testing.T) {
	w := newWorld(t)
	c := w.asked("web")
	c.Pod = "media"
	if _, err := w.Create(context.Background(), c, nil); err == nil || hint.Of(err) != "podunit pod create media" {
		t.Errorf("no pod: %v, hint %q", err, hint.Of(err))
	}
	if _, err := w.CreatePod(context.Background(), spec.Pod{Name: "media"}, nil); err != nil {
		t.Fatal(err)
	}
	// By hand the pod gets a service of its own.
	if _, err := w.Create(context.Background(), c, nil); err != nil || !w.manager.asked("start media-pod.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
	w.inService("web.service")
	c.Name = "other"
	if _, err := w.Create(context.Background(), c, nil); err == nil || !strings.Contains(hint.Of(err), "Pod=") || w.exists("other") {
		t.Errorf("in a service: %v, hint %q", err, hint.Of(err))
	}
}

func TestALockThatIsNotGivenBack(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	err := w.WithLock(context.Background(), "web", func(*container.Lock) error {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody waits 15 seconds here
		return w.Remove(ctx, r, Removal{})
	})
	if !errors.Is(err, container.ErrBusy) || !w.exists("web") || !w.free("web") {
		t.Errorf("%v; there %t, free %t", err, w.exists("web"), w.free("web"))
	}
}
