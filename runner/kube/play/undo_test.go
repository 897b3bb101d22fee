// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"

	runner "github.com/podunit/podunit/runner/container"
)

// playing has a pod web that runs with containers, as a play of its own has made it.
func (w *world) playing(t *testing.T, text string) *State {
	t.Helper()
	st := &State{Name: "pod web", Plan: planned(t, text)}
	if err := w.Player.store.save(st); err != nil {
		t.Fatal(err)
	}
	r, err := w.Pods.Create(t.Context(), spec.Pod{Name: "web"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	infra := exec.Command("sleep", "600")
	if err := infra.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = infra.Process.Kill()
		_ = infra.Wait()
	})
	path := filepath.Join(w.Pods.Dir(r.ID), "status.json")
	runs := pod.Status{InfraPID: infra.Process.Pid, StartTicks: process.StartTicks(infra.Process.Pid)}
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), runner.WriteJSON(path, runs)); err != nil {
		t.Fatal(err)
	}
	w.manager.active["web-pod.service"] = true
	for _, c := range st.Plan.Pods[0].Containers {
		w.manager.active[c.Unit] = true
	}
	return st
}

const (
	twoContainers = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
  - {name: a, image: quay.io/x/a:1}
  - {name: b, image: quay.io/x/b:1, lifecycle: {preStop: {sleep: {seconds: 1}}}}
`
	otherContainers = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  containers:
  - {name: a, image: quay.io/x/a:2}
  - {name: c, image: quay.io/x/c:1}
`
)

// replacing is a play in place of what st has.
func (w *world) replacing(t *testing.T, st *State, text string) *work {
	t.Helper()
	plan := planned(t, text)
	return &work{Player: w.Player, old: st, st: &State{Name: st.Name, Plan: plan}, plan: plan, seen: map[string]string{}, Options: Options{Replace: true}}
}

// TestFailedChangeIsUndone: a play that fails in a pod which goes on leaves it as it was: what it has
// started is stopped, what it has stopped is started, and the note has the old containers.
func TestFailedChangeIsUndone(t *testing.T) {
	world := newWorld(t)
	st := world.playing(t, twoContainers)
	w := world.replacing(t, st, otherContainers)
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	world.manager.fails["start web-c.service"] = errors.New("no such image")
	if err := w.makePod(t.Context(), w.plan.Pods[0]); err == nil || !strings.Contains(err.Error(), "no such image") {
		t.Fatalf("%v", err)
	}
	if err := w.undo(t.Context()); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]bool{"web-a.service": true, "web-b.service": true, "web-c.service": false, "web-pod.service": true} {
		if world.manager.active[name] != want {
			t.Errorf("%s is active: %v", name, !want)
		}
	}
	if starts := world.manager.asked("start"); len(starts) != 4 || !slices.Contains(starts[2:], "web-a.service") || !slices.Contains(starts[2:], "web-b.service") {
		t.Errorf("started: %q", starts)
	}
	if world.manager.failed["web-c.service"] {
		t.Error("the unit of the new container is not forgotten")
	}
	now, err := world.Player.store.load(st.Name)
	if err != nil || container(now.Plan.Pods[0], "b") == nil || container(now.Plan.Pods[0], "a").Spec.Image != "quay.io/x/a:1" {
		t.Errorf("noted: %+v, %v", now, err)
	}
}

// TestFailedChangeAsksForNothing: a container that a failed play has started may have asked for a
// new start of all containers. That goes with it, unless one that goes on has ended meanwhile, and
// waits for that start.
func TestFailedChangeAsksForNothing(t *testing.T) {
	const rules = "restartPolicy: Always, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]"
	was := strings.Replace(twoContainers, "b:1,", "b:1, "+rules+",", 1)
	for waits, left := range map[string]bool{"": false, "web-b.service": true} {
		world := newWorld(t)
		st := world.playing(t, was)
		world.startsAnew(t, st, map[string][]string{"web-a.service": {"42"}})
		w := world.replacing(t, st, strings.Replace(was, "a:1}", "a:2, "+rules+"}", 1))
		if err := w.begin(); err != nil {
			t.Fatal(err)
		}
		if err := w.makePod(t.Context(), w.plan.Pods[0]); err == nil || len(w.changed) != 1 || !w.allAsked(w.changed[0].pod, w.plan.Pods[0]) {
			t.Fatalf("a container of the play has not ended by its rule: %v", err)
		}
		world.manager.active[waits] = false
		if err := w.undo(t.Context()); err != nil {
			t.Error(err)
		}
		stopped := slices.ContainsFunc(world.manager.asked("stop"), func(name string) bool { return strings.HasPrefix(name, againUnits) })
		if noted := w.allAsked(w.changed[0].pod, w.plan.Pods[0]); noted != left || stopped == left || !world.manager.active["web-a.service"] {
			t.Errorf("%q has ended: noted %v, the timer stopped %v; active %v", waits, noted, stopped, world.manager.active)
		}
	}
}

// TestFailedReplacementIsUndone: a play that replaces a pod as a whole and fails brings the old one
// back; one that cannot be brought back is gone from the note, too.
func TestFailedReplacementIsUndone(t *testing.T) {
	for _, fails := range []bool{false, true} {
		world := newWorld(t)
		st := world.playing(t, twoContainers)
		w := world.replacing(t, st, strings.Replace(otherContainers, "spec:\n", "spec:\n  hostIPC: true\n", 1))
		if err := errors.Join(w.look(t.Context()), w.begin()); err != nil {
			t.Fatal(err)
		}
		world.manager.fails["start web-c.service"] = errors.New("no such image")
		if err := w.makePod(t.Context(), w.plan.Pods[0]); err == nil {
			t.Fatal("it has not failed")
		}
		if fails {
			world.manager.fails["start web-b.service"] = errors.New("no memory")
		}
		if err := w.undo(t.Context()); (err != nil) != fails {
			t.Errorf("%v", err)
		}
		for name, want := range map[string]bool{"web-a.service": true, "web-b.service": true, "web-c.service": false, "web-pod.service": true} {
			if world.manager.active[name] != want && !fails {
				t.Errorf("%s is active: %v", name, !want)
			}
		}
		now, err := world.Player.store.load(st.Name)
		if err != nil {
			t.Fatal(err)
		}
		if one := now.pod("web"); (one == nil) != fails || one != nil && container(one, "b") == nil {
			t.Errorf("noted: %+v", one)
		}
		if _, err := world.Pods.LookupExact("web"); (err != nil) != fails {
			t.Errorf("the pod: %v", err)
		}
	}
}

// TestFailedPlayAndSecrets: what goes on after a play that has failed keeps its secrets, and of a
// play that could not even begin nothing stays.
func TestFailedPlayAndSecrets(t *testing.T) {
	world := newWorld(t)
	st := world.playing(t, twoContainers)
	secret := func(value string) *kube.Plan {
		return &kube.Plan{Secrets: []kube.Secret{{Name: "s", Data: map[string][]byte{"k": []byte(value)}}}}
	}
	for _, before := range []string{"", "old"} {
		if before != "" {
			if err := world.Player.store.keepSecrets(st.Name, secret(before)); err != nil {
				t.Fatal(err)
			}
		}
		w := world.replacing(t, st, otherContainers)
		w.plan.Secrets = secret("new").Secrets
		if err := errors.Join(w.look(t.Context()), w.begin(), w.undo(t.Context())); err != nil {
			t.Fatal(err)
		}
		got, err := world.Player.store.secrets(st.Name)
		if string(got["s"]["k"]) != before || (err != nil) != (before == "") {
			t.Errorf("%q became %q, %v", before, got, err)
		}
	}
	fresh := &State{Name: "pod fresh", Plan: secret("new")}
	blocked := world.Player.store.path(fresh.Name)
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	w := &work{Player: world.Player, st: fresh, plan: fresh.Plan}
	if err := w.begin(); err == nil {
		t.Error("a note was written where it cannot be")
	}
	_ = os.RemoveAll(blocked)
	if err := w.undo(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(world.Player.store.dir(fresh.Name)); !os.IsNotExist(err) {
		t.Errorf("its secrets are still there: %v", err)
	}
}

// TestPodOfSomebodyElse: a pod that somebody makes while images are pulled stays, and so it does
// when the play that fails for it is undone.
func TestPodOfSomebodyElse(t *testing.T) {
	world := newWorld(t)
	plan := planned(t, twoContainers)
	w := &work{Player: world.Player, st: &State{Name: "pod web", Plan: plan}, plan: plan, seen: map[string]string{}}
	if err := errors.Join(w.inTheWay(t.Context(), nil, plan.Pods[0]), w.begin()); err != nil {
		t.Fatal(err)
	}
	other, err := world.Pods.Create(t.Context(), spec.Pod{Name: "web"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.makePod(t.Context(), plan.Pods[0]); err == nil || !strings.Contains(err.Error(), "pod already exists") {
		t.Errorf("%v", err)
	}
	if err := w.undo(t.Context()); err != nil {
		t.Error(err)
	}
	if r, err := world.Pods.LookupExact("web"); err != nil || r.ID != other.ID {
		t.Errorf("%s, %v, and not %s", r.ID, err, other.ID)
	}
}

// TestReplaceWithoutStart: --replace --start=false starts no container, of a pod that runs neither.
func TestReplaceWithoutStart(t *testing.T) {
	world := newWorld(t)
	w := world.replacing(t, world.playing(t, twoContainers), otherContainers)
	w.Create = true
	for i := range w.plan.Pods {
		if err := errors.Join(w.look(t.Context()), w.begin(), w.makePod(t.Context(), w.plan.Pods[i])); err != nil {
			t.Fatal(err)
		}
	}
	if starts := world.manager.asked("start"); len(starts) != 0 {
		t.Errorf("started: %q", starts)
	}
	if r, err := world.Pods.LookupExact("web"); err != nil || world.Pods.Status(r).InfraPID != 0 {
		t.Errorf("the pod: %+v, %v", r, err)
	}
}

// TestOneFailureEndsAll: a pod that fails ends the wait for one that never gets ready, and only its
// own error is told.
func TestOneFailureEndsAll(t *testing.T) {
	waits := make(chan struct{})
	err := allOrNone(t.Context(), []string{"waits", "fails"}, 2, func(ctx context.Context, name string) error {
		if name == "waits" {
			close(waits)
			<-ctx.Done()
			return fmt.Errorf("pod waits: %w", ctx.Err())
		}
		<-waits
		return errors.New("pod fails: no such image")
	})
	if err == nil || err.Error() != "pod fails: no such image" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := allOrNone(ctx, []string{"a"}, 1, func(ctx context.Context, _ string) error { return ctx.Err() }); !errors.Is(err, context.Canceled) {
		t.Errorf("of a play that somebody ends: %v", err)
	}
}

// TestStoppedContainersAreFound: while a container that the new documents do not have, or have
// otherwise, is stopped, its unit finds it in the note as it was started, preStop included.
func TestStoppedContainersAreFound(t *testing.T) {
	world := newWorld(t)
	st := world.playing(t, twoContainers)
	w := world.replacing(t, st, otherContainers)
	stops := 0
	world.manager.does = func(call string) {
		name, found := strings.CutPrefix(call, "stop web-")
		name, _ = strings.CutSuffix(name, ".service")
		if !found || name == "c" {
			return
		}
		stops++
		_, _, c, err := world.find(st.Name, "web", name)
		if err != nil || c.Spec.Image != "quay.io/x/"+name+":1" || (c.PreStop != nil) != (name == "b") {
			t.Errorf("%s at its stop: %+v, %v", name, c, err)
		}
	}
	if err := errors.Join(w.begin(), w.makePod(t.Context(), w.plan.Pods[0])); err != nil {
		t.Fatal(err)
	}
	if stops != 2 {
		t.Errorf("%d were stopped", stops)
	}
	if _, _, c, err := world.find(st.Name, "web", "a"); err != nil || c.Spec.Image != "quay.io/x/a:2" {
		t.Errorf("at its start: %+v, %v", c, err)
	}
	if _, _, _, err := world.find(st.Name, "web", "b"); err == nil {
		t.Error("b is still noted")
	}
}

// otherPod is a document of another pod.
const otherPod = `apiVersion: v1
kind: Pod
metadata: {name: db}
spec:
  hostNetwork: true
  containers:
  - {name: d, image: quay.io/x/d:1}
`

// otherPodSettings is otherContainers with a change that all of the pod shares.
var otherPodSettings = strings.Replace(otherContainers, "spec:\n", "spec:\n  hostIPC: true\n", 1)

// broughtBack checks that web runs as it did, and is noted once.
func (w *world) broughtBack(t *testing.T, st *State) {
	t.Helper()
	if _, err := w.Pods.LookupExact("web"); err != nil {
		t.Errorf("the pod: %v", err)
	}
	for _, name := range []string{"web-a.service", "web-b.service", "web-pod.service"} {
		if !w.manager.active[name] {
			t.Errorf("%s is not active", name)
		}
	}
	now, err := w.Player.store.load(st.Name)
	if err != nil || len(now.Plan.Pods) != 1 || now.pod("web") == nil || container(now.pod("web"), "b") == nil {
		t.Errorf("noted: %+v, %v", now, err)
	}
}

// TestCutShortIsUndone: a play that ends while it takes a pod down leaves it as it was, noted once.
// It runs again also where the play was to start nothing.
func TestCutShortIsUndone(t *testing.T) {
	for _, create := range []bool{false, true} {
		world := newWorld(t)
		st := world.playing(t, twoContainers)
		w := world.replacing(t, st, otherPodSettings)
		w.Create = create
		if err := errors.Join(w.look(t.Context()), w.begin()); err != nil {
			t.Fatal(err)
		}
		world.manager.does = func(call string) {
			if call == "stop web-pod.service" {
				world.storage.breaks(context.Canceled)
			}
		}
		if err := w.makePod(t.Context(), w.plan.Pods[0]); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
		world.manager.does = nil
		world.storage.breaks(nil)
		if err := w.undo(t.Context()); err != nil {
			t.Error(err)
		}
		world.broughtBack(t, st)
	}
}

// TestRemovedPodComesBack: a pod that the new documents do not have runs again when the play of
// them fails.
func TestRemovedPodComesBack(t *testing.T) {
	world := newWorld(t)
	st := world.playing(t, twoContainers)
	w := world.replacing(t, st, otherPod)
	if err := errors.Join(w.look(t.Context()), w.begin()); err != nil {
		t.Fatal(err)
	}
	world.manager.fails["start db-d.service"] = errors.New("no such image")
	if err := w.make(t.Context()); err == nil || !strings.Contains(err.Error(), "no such image") {
		t.Fatalf("%v", err)
	}
	if world.manager.active["web-pod.service"] {
		t.Error("web still runs")
	}
	if err := w.undo(t.Context()); err != nil {
		t.Error(err)
	}
	world.broughtBack(t, st)
	if _, err := world.Pods.LookupExact("db"); !errors.Is(err, pod.ErrNotFound) {
		t.Errorf("db: %v", err)
	}
}

// TestNoOrphan: what cannot be brought back is taken down also when undo has no time left, and
// stays in the note if that fails.
func TestNoOrphan(t *testing.T) {
	for _, stays := range []bool{false, true} {
		world := newWorld(t)
		st := world.playing(t, twoContainers)
		w := world.replacing(t, st, otherPodSettings)
		if err := errors.Join(w.look(t.Context()), w.begin()); err != nil {
			t.Fatal(err)
		}
		world.manager.fails["start web-c.service"] = errors.New("no such image")
		if err := w.makePod(t.Context(), w.plan.Pods[0]); err == nil {
			t.Fatal("it has not failed")
		}
		ctx, cancel := context.WithCancel(t.Context())
		world.manager.fails["start web-b.service"] = context.Canceled
		world.manager.does = func(call string) {
			if call != "start web-b.service" {
				return
			}
			cancel()
			if stays {
				world.storage.breaks(errors.New("it cannot be read"))
			}
		}
		if err := w.undo(ctx); err == nil || !strings.Contains(err.Error(), "as it was before") {
			t.Errorf("%v", err)
		}
		now, err := world.Player.store.load(st.Name)
		if err != nil || (now.pod("web") != nil) != stays {
			t.Errorf("noted: %+v, %v", now, err)
		}
		if _, err := world.Pods.LookupExact("web"); (err == nil) != stays {
			t.Errorf("the pod: %v", err)
		}
	}
}

// TestTakenPodComesBack: a play that replaces a pod of another play and fails brings it back as a
// part of that one, with its secrets. A pod that somebody has made under the name meanwhile stays.
func TestTakenPodComesBack(t *testing.T) {
	for name, c := range map[string]struct{ more, other, stopped bool }{
		"its only pod": {}, "one of two": {more: true}, "somebody was faster": {other: true}, "it did not run": {stopped: true},
	} {
		t.Run(name, func(t *testing.T) {
			world := newWorld(t)
			st := world.playing(t, twoContainers)
			if c.more {
				st.Plan.Pods = append(st.Plan.Pods, &kube.Pod{Name: "mail", Unit: "mail-pod.service"})
			}
			st.Plan.Secrets = []kube.Secret{{Name: "s", Data: map[string][]byte{"k": []byte("old")}}}
			first := &work{Player: world.Player, st: st, plan: st.Plan}
			if err := errors.Join(world.Player.store.keepSecrets(st.Name, st.Plan), world.Player.store.save(st), first.keepSecrets()); err != nil {
				t.Fatal(err)
			}
			if c.stopped {
				r, err := world.Pods.LookupExact("web")
				if err = errors.Join(err, os.Remove(filepath.Join(world.Pods.Dir(r.ID), "status.json"))); err != nil {
					t.Fatal(err)
				}
			}
			plan := planned(t, otherPod+"---\n"+otherPodSettings)
			w := &work{Player: world.Player, st: &State{Name: "pod db", Plan: plan}, plan: plan, seen: map[string]string{}, Options: Options{Replace: true}}
			if err := errors.Join(w.look(t.Context()), w.begin()); err != nil {
				t.Fatal(err)
			}
			world.manager.fails["start db-d.service"] = errors.New("no such image")
			world.manager.fails["start web-c.service"] = errors.New("no such image")
			if err := w.make(t.Context()); err == nil || !strings.Contains(err.Error(), "no such image") {
				t.Fatalf("%v", err)
			}
			if now, err := world.Player.store.load(st.Name); c.more != (err == nil) || c.more && now.pod("web") != nil {
				t.Fatalf("web is not taken: %+v, %v", now, err)
			}
			if c.other {
				r, err := world.Pods.LookupExact("web")
				if err != nil {
					t.Fatal(err)
				}
				w.created = slices.DeleteFunc(w.created, func(p *kube.Pod) bool { return p.Name == "web" })
				if err := w.undo(t.Context()); err == nil || !strings.Contains(err.Error(), "pod already exists") {
					t.Errorf("%v", err)
				}
				if now, err := world.Pods.LookupExact("web"); err != nil || now.ID != r.ID {
					t.Errorf("%s, %v, and not %s", now.ID, err, r.ID)
				}
				return
			}
			if err := w.undo(t.Context()); err != nil {
				t.Error(err)
			}
			if c.stopped {
				_, err := world.Player.store.load(st.Name)
				_, hidden := os.Stat(world.Player.store.secretsPath(st.Name))
				if stored, ok := Stored(world.Engine)("s"); ok || !errors.Is(err, ErrNotFound) || !errors.Is(hidden, fs.ErrNotExist) {
					t.Errorf("left of the play that is forgotten, %v: %q, %v", err, stored, hidden)
				}
				return
			}
			for _, name := range []string{"web-a.service", "web-b.service", "web-pod.service"} {
				if !world.manager.active[name] {
					t.Errorf("%s is not active", name)
				}
			}
			now, err := world.Player.store.load(st.Name)
			if err != nil || now.pod("web") == nil || container(now.pod("web"), "b") == nil || (now.pod("mail") != nil) != c.more {
				t.Errorf("noted: %+v, %v", now, err)
			}
			hidden, err := world.Player.store.secrets(st.Name)
			if stored, ok := Stored(world.Engine)("s"); err != nil || string(hidden["s"]["k"]) != "old" || !ok || string(stored["k"]) != "old" {
				t.Errorf("its secrets: %q, %q, %v", hidden, stored, err)
			}
			if _, err := world.Player.store.load("pod db"); !errors.Is(err, ErrNotFound) {
				t.Errorf("the play that failed: %v", err)
			}
		})
	}
}
