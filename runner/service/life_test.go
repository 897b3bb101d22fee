// SPDX-License-Identifier: Apache-2.0

package service

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

// never is a stop timeout that no test waits for.
const never = time.Hour

// stopsWhenEnded makes the stop of any unit wait until somebody ends the process. That nobody does
// within a minute fails the test: an error of the stop alone would not, since then the process is
// ended without the unit.
func (w *world) stopsWhenEnded(pid int) {
	w.manager.stops = func(name string) error {
		for deadline := time.Now().Add(time.Minute); process.Alive(pid, 0); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				w.t.Errorf("%s is stopped, and nobody ends its process", name)
				return errors.New("it does not end")
			}
		}
		return nil
	}
}

func TestStopGoesThroughTheUnit(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	first := w.running(r, "web.service")
	w.manager.stops = func(string) error { return first.Process.Kill() }
	if err := w.Stop(context.Background(), r, never); err != nil || !w.manager.asked("stop web.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
}

func TestTheUnitItselfStopsTheProcess(t *testing.T) {
	w := newWorld(t)
	w.inService("web.service")
	r := w.made("web", nil)
	w.running(r, "web.service")
	if err := w.Stop(context.Background(), r, never); err != nil || w.alive(r) || len(w.manager.calls) != 0 {
		t.Errorf("%v; alive %t; %v", err, w.alive(r), w.manager.calls)
	}
}

func TestStopDoesWithoutAManager(t *testing.T) {
	w := newWorld(t)
	w.Connect = func(context.Context) (Manager, error) { return nil, errors.New("no manager") }
	r := w.made("web", nil)
	w.running(r, "web.service")
	if err := w.Stop(context.Background(), r, never); err != nil || w.alive(r) {
		t.Errorf("%v; alive %t", err, w.alive(r))
	}
}

func TestStopOfOneThatComesBack(t *testing.T) {
	for state, want := range map[string]bool{"activating": true, "inactive": false, "failed": false} {
		for what, noted := range map[string]string{"between two starts": "web.service", "before it has a process": ""} {
			w := newWorld(t)
			r := w.made("web", nil)
			w.status(r, container.Status{Unit: noted})
			w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: state, Transient: noted == ""})
			if err := w.Stop(context.Background(), r, never); err != nil || w.manager.asked("stop web.service") != want {
				t.Errorf("%s, %s: %v; %v", what, state, err, w.manager.calls)
			}
		}
	}
	w := newWorld(t)
	r := w.made("web", nil)
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "activating"})
	if err := w.Stop(context.Background(), r, never); err != nil || w.manager.asked("stop web.service") {
		t.Errorf("a unit of somebody else's, which has the name by chance: %v; %v", err, w.manager.calls)
	}
}

// TestRemoveOfOneThatIsStarting: the start holds the container's lock, so its unit is stopped
// first.
func TestRemoveOfOneThatIsStarting(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "activating", Transient: true})
	release := w.hold(r.Name)
	w.manager.stops = func(string) error { release(); return nil }
	if err := w.Remove(context.Background(), r, Removal{}); !errors.As(err, new(ComesBackError)) {
		t.Errorf("without force: %v", err)
	}
	if err := w.Remove(context.Background(), r, Removal{Force: true}); err != nil || w.exists("web") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
}

func TestAUnitThatTakesLongerThanAskedIsKilled(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	first := w.running(r, "web.service")
	w.stopsWhenEnded(first.Process.Pid)
	if err := w.Stop(context.Background(), r, 0); err != nil || w.alive(r) {
		t.Errorf("%v; alive %t", err, w.alive(r))
	}
}

func TestRemove(t *testing.T) {
	for _, c := range []struct {
		name   string
		force  bool
		state  string // of the unit; empty: the container runs
		want   string // in the error
		stops  bool   // the unit is stopped
		leaves bool   // the container
	}{
		{name: "one that runs stays", want: "is running", leaves: true},
		{name: "one that runs is stopped with force", force: true, stops: true},
		{name: "one that comes back stays", state: "activating", want: "about to be started again by web.service", leaves: true},
		{name: "one that comes back is stopped with force", force: true, state: "activating", stops: true},
		{name: "one that has ended goes", state: "inactive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			r := w.made("web", nil)
			if c.state == "" {
				first := w.running(r, "web.service")
				w.manager.stops = func(string) error { return first.Process.Kill() }
			} else {
				w.status(r, container.Status{Unit: "web.service"})
				w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: c.state})
			}
			err := w.Remove(context.Background(), r, Removal{Force: c.force, Timeout: never})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if InUse(err) != c.leaves {
				t.Errorf("in use %t: %v", !c.leaves, err)
			}
			if w.manager.asked("stop web.service") != c.stops || w.exists("web") != c.leaves {
				t.Errorf("%v; it is there: %t", w.manager.calls, w.exists("web"))
			}
			if !c.leaves && (len(w.locks()) != 0 || !w.manager.asked("free web.service")) {
				t.Errorf("locks %v; %v", w.locks(), w.manager.calls)
			}
		})
	}
}

// TestRemoveForgetsAUnitOfOthersThatFailed: one of the container's name that somebody has made with
// systemd-run(1), and which made the container. The same goes for one in a pod. A unit file's stays.
func TestRemoveForgetsAUnitOfOthersThatFailed(t *testing.T) {
	for what, remove := range map[string]func(w *world, p pod.Record, r container.Record) error{
		"rm":     func(w *world, _ pod.Record, r container.Record) error { return w.Remove(t.Context(), r, Removal{}) },
		"pod rm": func(w *world, p pod.Record, _ container.Record) error { return w.RemovePod(t.Context(), p, true, 0) },
	} {
		for _, forgets := range []bool{true, false} {
			w := newWorld(t)
			p := w.pod("media")
			r := w.made("web", func(r *container.Record) { r.Unit, r.PodID = "web.service", p.ID })
			w.status(r, container.Status{Unit: "web.service"})
			w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "failed", Transient: forgets, Argument: "web"})
			if err := remove(w, p, r); err != nil || w.manager.asked("free web.service") != forgets || w.exists("web") {
				t.Errorf("%s, transient %t: %v; %q", what, forgets, err, w.manager.calls)
			}
		}
	}
}

func TestRemoveByItsOwnUnit(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "web.service")
	w.manager.stops = func(string) error { // its ExecStop= removes it
		return w.Containers.Remove(context.Background(), r, true, true, 0)
	}
	if err := w.Remove(context.Background(), r, Removal{Force: true, Timeout: never}); err != nil || w.exists("web") {
		t.Errorf("%v; it is there: %t", err, w.exists("web"))
	}
}

func TestRemoveOfOneThatGoesMeanwhile(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	removed := make(chan error)
	err := w.WithLock(context.Background(), "web", func(lock *container.Lock) error {
		go func() { removed <- w.Remove(context.Background(), r, Removal{}) }()
		return errors.Join(w.Containers.Remove(context.Background(), r, true, true, 0), lock.Drop())
	})
	if other := <-removed; err != nil || other != nil || len(w.locks()) != 0 {
		t.Errorf("%v, %v; locks %v", err, other, w.locks())
	}
}

func TestRestart(t *testing.T) {
	for _, c := range []struct {
		name, watched, made, want string
	}{
		{"through the unit that watches it", "web.service", "old.service", "restart web.service"},
		{"through the unit that made it", "", "old.service", "restart old.service"},
		{"as a service of its own", "", "", "start web.service"},
		{"that has ended, and is forgotten", "mine.service", "", "start web.service"},
		{"whose unit file is gone", "", "gone.service", "start web.service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "active"})
			w.manager.set("old.service", unit.Properties{LoadState: "loaded", ActiveState: "inactive"})
			r := w.made("web", func(r *container.Record) { r.Unit = c.made })
			w.status(r, container.Status{Unit: c.watched})
			if err := w.Restart(context.Background(), r, never); err != nil || !w.manager.asked(c.want) {
				t.Errorf("%v; %v", err, w.manager.calls)
			}
		})
	}
}

// TestRestartOfOneThatFailed makes the service anew: one that has used up its restarts does not
// start any more. It may have the name that the container had before it was renamed.
func TestRestartOfOneThatFailed(t *testing.T) {
	for _, service := range []string{"web.service", "before.service"} {
		w := newWorld(t)
		r := w.made("web", nil)
		w.status(r, container.Status{Unit: service})
		w.manager.set(service, unit.Properties{LoadState: "loaded", ActiveState: "failed", Transient: true, Argument: r.ID})
		if err := w.Restart(context.Background(), r, never); err != nil || !slices.Equal(w.manager.calls, []string{"free web.service", "start web.service"}) {
			t.Errorf("%v; %v", err, w.manager.calls)
		}
	}
}

// TestRestartOfOneThatFailedAndWasRenamed: what ran was a transient service of the name from before.
// It has used up its restarts as well, and one of the new name takes its place.
func TestRestartOfOneThatFailedAndWasRenamed(t *testing.T) {
	w := newWorld(t)
	r := w.made("before", nil)
	w.status(r, container.Status{Unit: "before.service"})
	w.manager.set("before.service", unit.Properties{LoadState: "loaded", ActiveState: "failed", Transient: true})
	if err := w.Rename(t.Context(), r, "after"); err != nil {
		t.Fatal(err)
	}
	r, err := w.Containers.LookupExact("after")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Restart(t.Context(), r, never); err != nil || !slices.Equal(w.manager.calls, []string{"free before.service", "free after.service", "start after.service"}) {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
}

// TestRestartOfOneForgottenMeanwhile: a transient unit that has ended is forgotten at any moment.
func TestRestartOfOneForgottenMeanwhile(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.status(r, container.Status{Unit: "web.service"})
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "active"})
	w.manager.fails["restart web.service"] = dbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit"}
	if err := w.Restart(context.Background(), r, never); err != nil || !w.manager.asked("start web.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
}

func TestARestartThatFailsSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.complain = "image x: not there"
	w.manager.fails["restart web.service"] = unit.JobError{Verb: "restart", Unit: "web.service", Job: "failed"}
	if err := w.RestartUnit(context.Background(), "web.service"); err == nil || err.Error() != "web.service: image x: not there" {
		t.Errorf("got %v", err)
	}
	w.manager.fails["restart web.service"] = errors.New("no bus")
	if err := w.RestartUnit(context.Background(), "web.service"); err == nil || err.Error() != "no bus" {
		t.Errorf("got %v", err)
	}
}

// TestAUnitThatTheManagerDoesNotStop: a stop and a removal go on without it, and a restart leaves the
// container as it is.
func TestAUnitThatTheManagerDoesNotStop(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(w *world, r container.Record) error
		want   string // in the error
		alive  bool
		exists bool
	}{
		"stop": {do: func(w *world, r container.Record) error { return w.Stop(t.Context(), r, never) }, exists: true},
		"remove": {do: func(w *world, r container.Record) error {
			return w.Remove(t.Context(), r, Removal{Force: true, Timeout: never})
		}},
		"restart": {do: func(w *world, r container.Record) error { return w.Restart(t.Context(), r, never) }, want: "web.service: it hangs", alive: true, exists: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.complain = "it hangs"
			r := w.made("web", nil)
			w.running(r, "web.service")
			w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "active"})
			for _, verb := range []string{"stop", "restart"} {
				w.manager.fails[verb+" web.service"] = unit.JobError{Verb: verb, Unit: "web.service", Job: "failed"}
			}
			err := c.do(w, r)
			if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if w.alive(r) != c.alive || w.exists(r.ID) != c.exists || w.manager.asked("start web.service") {
				t.Errorf("alive %t, there %t; %v", w.alive(r), w.exists(r.ID), w.manager.calls)
			}
		})
	}
}

func TestAwait(t *testing.T) {
	w := newWorld(t)
	w.manager.set("web.service", unit.Properties{ActiveState: "activating"})
	active := func(p unit.Properties) bool { return p.ActiveState == "active" }
	if p, err := await(context.Background(), w.manager, "web.service", 0, active); err != nil || p.ActiveState != "activating" {
		t.Errorf("when time is up: %+v, %v", p, err)
	}
	looked := false
	p, err := await(context.Background(), w.manager, "web.service", never, func(p unit.Properties) bool {
		if !looked {
			looked = true
			w.manager.set("web.service", unit.Properties{ActiveState: "active", Restarts: 3})
		}
		return active(p)
	})
	if err != nil || p.ActiveState != "active" || w.Restarts(context.Background(), "web.service") != 3 {
		t.Errorf("%+v, %v", p, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := await(ctx, w.manager, "web.service", never, func(unit.Properties) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestANameThatAUnitStillHas(t *testing.T) {
	w := newWorld(t)
	w.manager.fails["free web.service"] = unit.NameTakenError{Unit: "web.service", Path: "/etc/systemd/system/web.service"}
	c := w.asked("web")
	c.Detach = true
	if _, _, err := w.Run(context.Background(), c, nil); !errors.As(err, &unit.NameTakenError{}) || w.exists("web") || w.manager.asked("start web.service") {
		t.Errorf("%v; it is there: %t; %v", err, w.exists("web"), w.manager.calls)
	}
}

func TestCleanupNotesTheEnd(t *testing.T) {
	w := newWorld(t)
	w.inService("web.service")
	r := w.made("web", nil)
	w.status(r, container.Status{Unit: "web.service", StartTicks: 1})
	w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = "killed", "TERM"
	if err := w.Cleanup(context.Background(), "web"); err != nil {
		t.Fatal(err)
	}
	exit, err := w.Containers.Exit(r.ID)
	if err != nil || exit == nil || exit.Code != 128+int(syscall.SIGTERM) {
		t.Errorf("%+v, %v", exit, err)
	}
	if err := w.Cleanup(context.Background(), "nosuch"); err != nil {
		t.Errorf("one that is gone: %v", err)
	}
}

// podWith makes a pod whose infra runs, and a container in it that has ended. The function tells
// whether the pod runs.
func (w *world) podWith(name string) (pod.Record, func() bool) {
	w.t.Helper()
	p, err := w.CreatePod(context.Background(), spec.Pod{Name: "media", ExitPolicy: "stop", Restart: spec.Restart{Policy: "on-failure"}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	infra := w.running(container.Record{ID: "../pods/" + p.ID}, "") // a pod's status is much like a container's
	dir := w.Pods.Dir(p.ID)
	s := pod.Status{InfraPID: infra.Process.Pid, StartTicks: process.StartTicks(infra.Process.Pid), Unit: "media-pod.service"}
	if err := container.WriteJSON(dir+"/status.json", s); err != nil {
		w.t.Fatal(err)
	}
	w.made(name, func(r *container.Record) { r.PodID = p.ID })
	return p, func() bool { return w.Pods.Status(p).InfraPID != 0 }
}

func TestTheLastContainerEndsItsPod(t *testing.T) {
	for _, c := range []struct {
		name   string
		unit   unit.Properties
		job    string
		result string
		ends   bool
	}{
		{"and is not started again", unit.Properties{Restart: "on-failure"}, "", "success", true},
		{"unless systemd starts it again", unit.Properties{Restart: "on-failure"}, "", "exit-code", false},
		{"if somebody asked for the stop", unit.Properties{Restart: "always", HasJob: true}, "stop", "success", true},
		{"unless somebody restarts it", unit.Properties{Restart: "no", HasJob: true}, "restart", "success", false},
		{"and its restart comes to nothing", unit.Properties{Restart: "no", HasJob: true}, "start", "exit-code", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.inService("web.service")
			_, runs := w.podWith("web")
			w.env["SERVICE_RESULT"], w.env["EXIT_CODE"] = c.result, "exited"
			c.unit.LoadState = "loaded"
			w.manager.set("web.service", c.unit)
			w.manager.jobs = map[string]string{"web.service": c.job}
			if err := w.Cleanup(context.Background(), "web"); err != nil || runs() == c.ends {
				t.Errorf("%v; the pod runs: %t", err, runs())
			}
		})
	}
}

// TestAUsersUnitOfTheSystem: the fate of a system unit with User= is asked of the system's manager,
// not of the user's, which may not be there.
func TestAUsersUnitOfTheSystem(t *testing.T) {
	w := newWorld(t)
	w.inService("web.service")
	_, runs := w.podWith("web")
	w.env["SERVICE_RESULT"], w.env["EXIT_CODE"] = "exit-code", "exited"
	system := &fakeManager{units: map[string]unit.Properties{"web.service": {LoadState: "loaded", Restart: "on-failure"}}}
	w.User.UID = 1003
	w.Connect = func(context.Context) (Manager, error) { return nil, errors.New("he has no manager") }
	w.ConnectSystem = func(context.Context) (Manager, error) { return system, nil }
	if err := w.Cleanup(context.Background(), "web"); err != nil || !runs() {
		t.Errorf("%v; the pod runs: %t", err, runs())
	}
}

// TestAContainerThatHasNotBegunEndsItsPod: its start has removed the container, and the command
// that cleans up after the unit does not know of its pod any more.
func TestAContainerThatHasNotBegunEndsItsPod(t *testing.T) {
	for restart, ends := range map[string]bool{"no": true, "on-failure": false, "on-success": true} {
		t.Run(restart, func(t *testing.T) {
			w := newWorld(t)
			w.inService("web.service")
			p, runs := w.podWith("web")
			w.manager.set("web.service", unit.Properties{LoadState: "loaded", Restart: restart})
			if err := w.settleNotBegun(t.Context(), container.Record{PodID: p.ID}); err != nil || runs() == ends {
				t.Errorf("%v; the pod runs: %t", err, runs())
			}
		})
	}
}

func TestStopPod(t *testing.T) {
	w := newWorld(t)
	p, runs := w.podWith("web")
	if err := w.StopPod(context.Background(), p, never); err != nil || !w.manager.asked("stop media-pod.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
	w.inService("media-pod.service") // that unit's ExecStop=
	if err := w.StopPod(context.Background(), p, never); err != nil || runs() {
		t.Errorf("%v; it runs: %t", err, runs())
	}
}

// TestWhoGivesUpKillsNothing: an interrupted stop leaves a container that ends when it can. Only
// the stop by the container's own unit kills it, as the manager interrupts that when its time is
// over.
func TestWhoGivesUpKillsNothing(t *testing.T) {
	for _, c := range []struct {
		name, unit, own string
		alive           bool
	}{
		{"through a unit", "web.service", "", true},
		{"without one", "", "", true},
		{"in its unit", "web.service", "web.service", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.Own.Name = c.own
			w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "active"})
			r := w.made("web", nil)
			// The stop that is given up goes on until the process ends, and writes in a directory
			// that must be there as long.
			t.Cleanup(func() {
				for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
					var stacks bytes.Buffer // all of them, however many: runtime.Stack cuts them off
					if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
						t.Fatal(err)
					}
					if !bytes.Contains(stacks.Bytes(), []byte("service.waitFor.func")) {
						return
					}
					if time.Since(began) > time.Minute {
						t.Fatalf("the stop goes on after the end of the process:\n%s", &stacks)
					}
				}
			})
			deaf := filepath.Join(t.TempDir(), "deaf")
			w.runningAs(r, c.unit, "sh", "-c", `trap ': >"$0.asked"' TERM; : >"$0"; while :; do sleep 0.1; done`, deaf)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			there := func(file string) bool {
				for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
					if _, err := os.Stat(file); err == nil {
						return true
					}
				}
				return false
			}
			if !there(deaf) {
				t.Fatal("the shell does not begin")
			}
			// Given up when the manager, or the process itself, has been asked to end it.
			w.manager.stops = func(string) error { cancel(); return ctx.Err() }
			go func() {
				if there(deaf + ".asked") {
					cancel()
				}
			}()
			err := w.Stop(ctx, r, never)
			if alive := w.alive(r); alive != c.alive || alive && !errors.Is(err, context.Canceled) {
				t.Errorf("alive %t, %v", alive, err)
			}
		})
	}
}

// TestStopPodWithinATime kills what the unit waits for longer than was asked.
func TestStopPodWithinATime(t *testing.T) {
	w := newWorld(t)
	p, _ := w.podWith("web")
	r, err := w.Containers.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	w.stopsWhenEnded(w.running(r, "web.service").Process.Pid)
	if err := w.StopPod(context.Background(), p, 0); err != nil || w.alive(r) {
		t.Errorf("%v; alive %t", err, w.alive(r))
	}
}

// TestRemovePodThatIsAboutToStart is that of a pod whose start has failed, so that it is in no unit,
// and whose service has a restart policy.
func TestRemovePodThatIsAboutToStart(t *testing.T) {
	for _, force := range []bool{false, true} {
		w := newWorld(t)
		p, err := w.Pods.Create(context.Background(), spec.Pod{Name: "bad"}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.manager.set("bad-pod.service", unit.Properties{LoadState: "loaded", ActiveState: "activating"})
		err = w.RemovePod(context.Background(), p, force, 0)
		_, gone := w.Pods.Lookup("bad")
		if force != (err == nil) || force != w.manager.asked("stop bad-pod.service") || force != w.manager.asked("free bad-pod.service") || force != errors.Is(gone, pod.ErrNotFound) {
			t.Errorf("force %t: %v; %v; the pod: %v", force, err, w.manager.calls, gone)
		}
	}
}

func TestRemovePod(t *testing.T) {
	w := newWorld(t)
	p, runs := w.podWith("web")
	r, err := w.Containers.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	w.running(r, "web.service")
	if err := w.RemovePod(context.Background(), p, false, never); !errors.As(err, new(pod.RunningError)) || !runs() || !w.exists("web") {
		t.Errorf("without force: %v; it runs: %t", err, runs())
	}
	w.manager.fails["stop media-pod.service"] = errors.New("no manager")
	if err := w.RemovePod(context.Background(), p, true, never); err != nil || runs() || w.exists("web") || !w.manager.asked("free web.service") {
		t.Errorf("with force: %v; it runs: %t, its container is there: %t; %v", err, runs(), w.exists("web"), w.manager.calls)
	}
	if _, err := w.Pods.Lookup("media"); !errors.Is(err, pod.ErrNotFound) {
		t.Errorf("the pod: %v", err)
	}
}

// TestRemovePodWhoseContainersHaveEnded needs no force, unless one of them is about to start again.
func TestRemovePodWhoseContainersHaveEnded(t *testing.T) {
	w := newWorld(t)
	p, runs := w.podWith("web")
	r, err := w.Containers.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	w.status(r, container.Status{Unit: "web.service"})
	w.manager.fails["stop media-pod.service"] = errors.New("no manager")
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "activating"})
	if err := w.RemovePod(context.Background(), p, false, never); err == nil || !runs() || !w.exists("web") {
		t.Errorf("between two starts: %v; it runs: %t", err, runs())
	}
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "failed"})
	if err := w.RemovePod(context.Background(), p, false, never); err != nil || runs() || w.exists("web") || !w.manager.asked("free web.service") {
		t.Errorf("%v; it runs: %t, its container is there: %t; %v", err, runs(), w.exists("web"), w.manager.calls)
	}
}

func TestAContainerInheritsTheRestartsOfItsPod(t *testing.T) {
	w := newWorld(t)
	p, _ := w.podWith("other")
	for policy, want := range map[string]string{"": "on-failure", "no": "no"} {
		c := w.asked("web" + policy)
		c.Pod, c.Restart.Policy = p.ID, policy
		r, err := w.Create(context.Background(), c, nil)
		if err != nil || r.Spec.Restart.Policy != want {
			t.Errorf("%q: %+v, %v", policy, r.Spec.Restart, err)
		}
	}
}

// TestWhoIsKilledIsToldOf warns when the stop signal did not end the container.
func TestWhoIsKilledIsToldOf(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	cmd := w.running(r, "web.service")
	w.manager.stops = func(string) error { // as long as the process lives
		for deadline := time.Now().Add(time.Minute); process.Alive(cmd.Process.Pid, 0); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				return errors.New("it does not end")
			}
		}
		return nil
	}
	if err := w.Stop(context.Background(), r, time.Millisecond); err != nil || len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "did not end within 1ms of SIGTERM") {
		t.Errorf("%v; %q", err, w.warnings)
	}
	s, err := w.Containers.Status(r.ID)
	if err != nil || s.PID != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	if stopped, err := w.Containers.Stopped(r.ID); err != nil || !stopped {
		t.Errorf("noted as stopped: %t, %v", stopped, err)
	}
}

func TestStartMembers(t *testing.T) {
	w := newWorld(t)
	p, _ := w.podWith("one")
	two := w.made("two", func(r *container.Record) { r.PodID = p.ID })
	w.running(two, "")
	w.made("three", func(r *container.Record) { r.PodID, r.Unit = p.ID, "three.service" })
	if err := w.StartMembers(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	var started []string
	for _, call := range w.manager.calls {
		if name, ok := strings.CutPrefix(call, "start "); ok {
			started = append(started, name)
		}
	}
	s := w.manager.services["one.service"]
	if !slices.Equal(started, []string{"one.service"}) || !slices.Equal(s.BindsTo, []string{"media-pod.service"}) {
		t.Errorf("%v; bound to %v", started, s.BindsTo)
	}
}

// TestAServiceInAPodOfAnother: a container for which a service makes another service does not end
// up in the first one, nor does its pod.
func TestAServiceInAPodOfAnother(t *testing.T) {
	w := newWorld(t)
	p, err := w.CreatePod(context.Background(), spec.Pod{Name: "media"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := w.made("web", func(r *container.Record) { r.PodID = p.ID })
	w.inService("reload.service")
	if err := w.Restart(context.Background(), r, never); err != nil || !w.manager.asked("start media-pod.service") || !w.manager.asked("start web.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
}

func TestANetworkOfAContainer(t *testing.T) {
	w := newWorld(t)
	other := w.made("other", nil)
	peers := container.Peers{"net": other} // who has been found is not looked for again by the name
	asked := spec.Networking{Networks: []spec.Network{{Mode: spec.NetContainer, Name: "its-former-name"}}, NoHosts: true, DNS: []string{"none"}}
	if _, err := w.networkRequest(asked, who{}, peers); !errors.Is(err, container.ErrNotRunning) {
		t.Errorf("one that does not run: %v", err)
	}
	pid := w.running(other, "").Process.Pid // in our network namespace, which nobody has to enter
	config := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.Containers.Dir(other.ID), "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config("{}") // without files of its own that it could share
	req, err := w.networkRequest(asked, who{}, peers)
	if err != nil || req.Network.Mode != spec.NetHost || req.Hosts != nil || req.Resolver != nil {
		t.Errorf("%+v, %v", req, err)
	}
	asked.NoHosts, asked.DNS = false, nil
	if req, err := w.networkRequest(asked, who{}, peers); err != nil || req.Hosts != nil || req.Resolver != nil {
		t.Errorf("files of the image: %+v, %v", req, err)
	}
	config(`{"mounts":[{"destination":"/etc/hosts","source":"/r/hosts"},{"destination":"/etc/resolv.conf","source":"/r/resolv.conf"}]}`)
	if req, err := w.networkRequest(asked, who{}, peers); err != nil || req.Hosts == nil || req.Resolver == nil || req.Joined == nil || *req.Joined != (network.Joined{
		Hosts: "/r/hosts", ResolvConf: "/r/resolv.conf", Name: "other", PID: pid, Ticks: process.StartTicks(pid),
	}) {
		t.Errorf("files that it shares: %+v, %v", req, err)
	}
	// Without a network no name server is of use, but one that was asked for.
	asked = spec.Networking{Networks: []spec.Network{{Mode: spec.NetNone}}}
	if req, err := w.networkRequest(asked, who{}, peers); err != nil || req.Resolver != nil || req.Hosts == nil {
		t.Errorf("none: %+v, %v", req, err)
	}
	asked.DNSSearch = []string{"a.example"}
	if req, err := w.networkRequest(asked, who{}, peers); err != nil || req.Resolver == nil {
		t.Errorf("none, with a search domain: %+v, %v", req, err)
	}
	asked = spec.Networking{Networks: []spec.Network{{Mode: spec.NetNamed, Name: "web", Options: []string{"ip=10.89.7.7", "alias=db"}}, {Mode: spec.NetBridge}}, Aliases: []string{"x"}}
	req, err = w.networkRequest(asked, who{"0123456789abcdef", "c", "0123456789ab"}, nil)
	if err != nil || req.Network.Mode != spec.NetBridge {
		t.Fatalf("%+v, %v", req, err)
	}
	on := req.Bridge.Connection.Networks
	if len(on) != 2 || on[0].Name != "web" || on[0].StaticIPs[0].String() != "10.89.7.7" || on[1].Name != "podman" ||
		!slices.Equal(on[0].Aliases, []string{"0123456789ab", "db", "x"}) || !slices.Equal(on[1].Aliases, []string{"0123456789ab", "x"}) {
		t.Errorf("named ones: %+v", on)
	}
}
