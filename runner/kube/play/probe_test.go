// SPDX-License-Identifier: Apache-2.0

package play

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/service"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage"
)

// looked is a prober without a storage, and a container that it looks at: a process that sleeps,
// with a runtime that exits with what stands in the file answer.
type looked struct {
	*world
	*Prober
	pid    int
	answer string // path of the file
}

func newLooked(t *testing.T, c *kube.Container) *looked {
	t.Helper()
	w := newWorld(t)
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = sleep.Process.Kill(), sleep.Wait() })
	o := &looked{world: w, pid: sleep.Process.Pid, answer: filepath.Join(t.TempDir(), "answer")}
	made := runner.Record{ID: strings.Repeat("a", 64), Name: "web-a", Runtime: filepath.Join(t.TempDir(), "runc")}
	dir := w.Containers.Dir(made.ID)
	status, err := json.Marshal(runner.Status{PID: o.pid, StartTicks: process.StartTicks(o.pid), StartedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "status.json"): string(status),
		filepath.Join(dir, "config.json"): `{"process":{"cwd":"/"}}`,
		made.Runtime:                      "#!/bin/sh\nexit $(cat " + o.answer + ")\n",
		o.answer:                          "0",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	st := &State{Name: "p"}
	if err := w.watch(context.Background(), st, pod.Record{ID: "pod", Name: "web"}, &kube.Pod{Name: "web"}, c, made, time.Now()); err != nil {
		t.Fatal(err)
	}
	slim, err := service.OpenToProbe(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	slim.Containers.RunDir, slim.Connect = w.Containers.RunDir, w.Connect
	o.Prober = NewProber(slim)
	return o
}

// look probes once, with this answer of the container.
func (o *looked) look(t *testing.T, code int, kind string) error {
	t.Helper()
	if err := os.WriteFile(o.answer, fmt.Append(nil, code), 0o600); err != nil {
		t.Fatal(err)
	}
	return o.Probe(context.Background(), "p", "web", "a", kind, strings.Repeat("a", 64))
}

// TestProbeWithoutStorage: what the timer of a livenessProbe executes needs no storage, and
// restarts the container after so many failures in a row.
func TestProbeWithoutStorage(t *testing.T) {
	probe := &kube.Probe{Handler: kube.Handler{Exec: []string{"true"}}, Timeout: time.Minute, Failure: 2}
	o := newLooked(t, &kube.Container{Name: "a", Unit: "web-a.service", Liveness: probe, Restart: kube.Restart{Policy: "always"}})
	for i, code := range []int{1, 0, 1, 1} {
		if err := o.look(t, code, liveness); err != nil {
			t.Fatal(err)
		}
		if asked := o.manager.asked("restart"); (len(asked) > 0) != (i == 3) {
			t.Errorf("after look %d: restarted %v", i, asked)
		}
	}
	if asked := o.manager.asked("restart"); !slices.Equal(asked, []string{"web-a.service"}) || !o.warned("web-a", "failed 2 times") {
		t.Errorf("restarted %v; %v", asked, o.warnings)
	}
	for name, gone := range map[string]error{
		"another container": o.Probe(context.Background(), "p", "web", "a", liveness, strings.Repeat("b", 64)),
		"another probe":     o.Probe(context.Background(), "p", "web", "a", readiness, strings.Repeat("a", 64)),
		"another play":      o.Probe(context.Background(), "q", "web", "a", liveness, strings.Repeat("a", 64)),
	} {
		if !errors.Is(gone, runner.ErrNotRunning) {
			t.Errorf("%s: %v", name, gone)
		}
	}
}

// TestProbeThatAnOlderProgramHasStarted: of a container that began before an update nothing is
// noted. That is noted once, from the plan and the storage, and the probe goes on; of a container
// that is not there, or is another one by now, it ends.
func TestProbeThatAnOlderProgramHasStarted(t *testing.T) {
	probe := &kube.Probe{Handler: kube.Handler{Exec: []string{"true"}}, Timeout: time.Minute, Failure: 1}
	c := &kube.Container{Name: "a", Unit: "web-a.service", Liveness: probe, Restart: kube.Restart{Policy: "always"}, Spec: spec.Container{Name: "web-a"}}
	o := newLooked(t, c)
	store := o.world.store
	words, id := []string{"web", "a", liveness}, strings.Repeat("a", 64)
	noted, err := store.watched("p", id, words...)
	if err != nil {
		t.Fatal(err)
	}
	metadata, err := json.Marshal(runner.Record{Podunit: 1, Runtime: noted.Runtime})
	if err != nil {
		t.Fatal(err)
	}
	o.storage.containers = append(o.storage.containers, storage.Container{ID: id, Names: []string{"web-a"}, Metadata: string(metadata)})
	r, err := o.Pods.Create(t.Context(), spec.Pod{Name: "web"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(store.save(&State{Name: "p", Plan: &kube.Plan{Pods: []*kube.Pod{{Name: "web", Containers: []*kube.Container{c}}}}}),
		os.Remove(store.watchedPath("p", words))); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another container": o.NoteProbe("p", "web", "a", liveness, strings.Repeat("b", 64)),
		"another probe":     o.NoteProbe("p", "web", "a", readiness, id),
		"another play":      o.NoteProbe("q", "web", "a", liveness, id),
	} {
		if !errors.Is(err, runner.ErrNotRunning) || errors.Is(err, ErrNotNoted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := o.look(t, 1, liveness); !errors.Is(err, ErrNotNoted) {
		t.Fatalf("without the note: %v", err)
	}
	if err := o.NoteProbe("p", "web", "a", liveness, id); err != nil {
		t.Fatal(err)
	}
	now, err := store.watched("p", id, words...)
	if noted.Pod = r.ID; err != nil || !reflect.DeepEqual(now, noted) {
		t.Errorf("noted %+v, %v; want %+v", now, err, noted)
	}
	if err := o.look(t, 1, liveness); err != nil || !slices.Equal(o.manager.asked("restart"), []string{"web-a.service"}) {
		t.Errorf("with the note: %v; restarted %v", err, o.manager.asked("restart"))
	}
}

// TestProbeOfOneThatIsNeverStartedAgain: it is ended, and nobody asks the manager.
func TestProbeOfOneThatIsNeverStartedAgain(t *testing.T) {
	probe := &kube.Probe{Handler: kube.Handler{Exec: []string{"true"}}, Timeout: time.Minute, Failure: 1}
	o := newLooked(t, &kube.Container{Name: "a", Unit: "web-a.service", Liveness: probe, Restart: kube.Restart{Policy: "no"}, Grace: time.Minute})
	ended := make(chan error, 1)
	go func() { // the child is ours to reap, as the manager does
		p, err := os.FindProcess(o.pid)
		if err == nil {
			_, err = p.Wait()
		}
		ended <- err
	}()
	if err := o.look(t, 1, liveness); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if asked := o.manager.asked("restart"); len(asked) > 0 {
		t.Errorf("restarted %v", asked)
	}
	if err := o.look(t, 0, liveness); !errors.Is(err, runner.ErrNotRunning) {
		t.Errorf("a look at what has ended: %v", err)
	}
}

// TestProbeOfReadiness: a container that answers is ready, and one that fails too often is not,
// which is said once. A look that changes nothing writes nothing.
func TestProbeOfReadiness(t *testing.T) {
	probe := &kube.Probe{Handler: kube.Handler{Exec: []string{"true"}}, Timeout: time.Minute, Success: 2, Failure: 2}
	o := newLooked(t, &kube.Container{Name: "a", Unit: "web-a.service", Readiness: probe})
	path := o.world.store.verdictPath("p", []string{"web", "a", readiness})
	var before os.FileInfo
	for i, c := range []struct {
		code  int
		ready bool
		same  bool
	}{{0, false, false}, {0, true, false}, {0, true, true}, {1, true, false}, {1, false, false}, {1, false, false}, {0, false, false}, {0, true, false}} {
		if err := o.look(t, c.code, readiness); err != nil {
			t.Fatal(err)
		}
		if v := o.world.store.verdict("p", "web", "a", readiness); v.Ready != c.ready {
			t.Errorf("after look %d: %+v", i, v)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && os.SameFile(st, before) != c.same {
			t.Errorf("look %d wrote: %t", i, c.same)
		}
		before = st
	}
	if len(o.warnings) != 1 || !o.warned("not ready any more") {
		t.Errorf("said: %v", o.warnings)
	}
}

// TestHealthMessages: the bytes of grpc.health.v1, as a server and a client of the protocol have
// them.
func TestHealthMessages(t *testing.T) {
	if got := healthRequest(""); !bytes.Equal(got, []byte{0, 0, 0, 0, 0}) {
		t.Errorf("no service: %v", got)
	}
	if got := healthRequest("db"); !bytes.Equal(got, []byte{0, 0, 0, 0, 4, 0x0a, 2, 'd', 'b'}) {
		t.Errorf("a service: %v", got)
	}
	for want, frame := range map[bool][][]byte{
		true:  {{0, 0, 0, 0, 2, 8, 1}},
		false: {nil, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 2, 8, 2}, {1, 0, 0, 0, 2, 8, 1}},
	} {
		for _, f := range frame {
			if got := serving(f); got != want {
				t.Errorf("%v: %t", f, got)
			}
		}
	}
}

// TestGraceOnce: the time that a probe has asked for counts for one stop.
func TestGraceOnce(t *testing.T) {
	s := store{run: t.TempDir()}
	if _, ok := s.graceOf("p", "web", "a"); ok {
		t.Error("a time that nobody asked for")
	}
	if err := s.setGrace("p", 3*time.Second, "web", "a"); err != nil {
		t.Fatal(err)
	}
	if d, ok := s.graceOf("p", "web", "a"); !ok || d != 3*time.Second {
		t.Errorf("%s, %t", d, ok)
	}
	if _, ok := s.graceOf("p", "web", "a"); ok {
		t.Error("it counts twice")
	}
}
