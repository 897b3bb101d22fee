// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	runner "github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
)

// TestPodEnded: the unit of a pod has no ExecStop=, so its end stops what is left of the pod, also
// of one whose play is forgotten.
func TestPodEnded(t *testing.T) {
	w := newWorld(t)
	r, err := w.Pods.Create(t.Context(), spec.Pod{Name: "web", ExitPolicy: "continue"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	left := exec.Command("sleep", "600")
	if err := left.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	t.Cleanup(func() { _ = left.Process.Kill() })
	dir := w.Pods.Dir(r.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	status := pod.Status{InfraPID: left.Process.Pid, StartTicks: process.StartTicks(left.Process.Pid)}
	if err := runner.WriteJSON(filepath.Join(dir, "status.json"), status); err != nil {
		t.Fatal(err)
	}
	if err := w.PodEnded(t.Context(), "web.service", "web"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || err.Error() != "signal: terminated" {
		t.Errorf("its first process: %v", err)
	}
}

// TestEndedOnceMore: the second Ended of a run of the unit knows whether the first one has done its
// work, and completes that of one that was killed. A new start of all containers counts once.
func TestEndedOnceMore(t *testing.T) {
	w := newWorld(t)
	st := w.playing(t, strings.Replace(restartsAll, "restartPolicy: Always", "restartPolicy: Never", 1))
	one := st.Plan.Pods[0]
	a := container(one, "a")
	w.Own.Name, w.env["INVOCATION_ID"] = a.Unit, "r1"
	w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = "exited", "42"
	r, err := w.Pods.LookupExact("web")
	if err != nil {
		t.Fatal(err)
	}
	// As one that was killed has left it.
	if err := w.Player.store.setVerdict(st.Name, verdict{ID: r.ID, Bad: 3, Good: 8, Why: "r1"}, "web", alls); err != nil {
		t.Fatal(err)
	}
	if HasEnded(w.Engine, st.Name, "web", "a") {
		t.Fatal("nobody has handled its end")
	}
	// No directory is there for the notes, as after a boot.
	if err := w.Ended(t.Context(), st.Name, "web", "a"); err != nil {
		t.Fatal(err)
	}
	if v := w.Player.store.verdict(st.Name, "web", alls); v.Bad != 3 || v.Good != 8 {
		t.Errorf("counted: %+v", v)
	}
	if w.Player.store.verdict(st.Name, "web", all).ID != r.ID || len(w.manager.asked("start")) != 1 {
		t.Errorf("asked for: %q", w.manager.asked("start"))
	}
	if !HasEnded(w.Engine, st.Name, "web", "a") || HasEnded(w.Engine, st.Name, "web", "b") || HasEnded(w.Engine, st.Name, "web") {
		t.Error("the end of a alone is handled")
	}
	w.env["INVOCATION_ID"] = "r2"
	if HasEnded(w.Engine, st.Name, "web", "a") {
		t.Error("an earlier run of the unit counts")
	}
	if err := w.Player.store.lives(st.Name, "web", "a"); err != nil || w.Player.store.handled(st.Name, "web", "a") != "" {
		t.Errorf("it is noted still: %v", err)
	}
	// A play that is gone gets no note any more.
	if err := w.Player.store.forget(st.Name); err != nil {
		t.Fatal(err)
	}
	if err := w.Ended(t.Context(), st.Name, "web", "a"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(w.Player.store.dir(st.Name)); err == nil {
		t.Error("the directory of the play is back")
	}
}

// TestHandledIsNoContainersEnd: a container may be named as one likes, and its end stays when
// another start of the pod is noted.
func TestHandledIsNoContainersEnd(t *testing.T) {
	w := newWorld(t)
	s := w.Player.store
	if err := s.save(&State{Name: "web", Plan: &kube.Plan{}}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"handled", "ended"} {
		if err := s.ended("web", end{Code: 7}, "web", name); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.setHandled("web", "r1", "web"), s.setHandled("web", "r2", "web", "handled"), s.lives("web", "web")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"handled", "ended"} {
		if e, over := s.endOf("web", "web", name); !over || e.Code != 7 {
			t.Errorf("the end of the container %s: %v %+v", name, over, e)
		}
	}
	if s.handled("web", "web") != "" || s.handled("web", "web", "handled") != "r2" {
		t.Errorf("handled: %q, %q", s.handled("web", "web"), s.handled("web", "web", "handled"))
	}
}

const onFailure = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  restartPolicy: OnFailure
  containers: [{name: a, image: quay.io/x/a:1}]
`

// TestAnEndForGoodIsCompleted: the end of a job's container is noted before the manager is asked to
// start it no more. By that the second Ended knows the stop of a killed one from somebody else's.
func TestAnEndForGoodIsCompleted(t *testing.T) {
	for name, c := range map[string]struct {
		noted string // the run of the unit whose end is noted
		job   string
		full  bool // nothing can be noted
		asks  int
		ends  bool
	}{
		"the first one":                  {asks: 1, ends: true},
		"nothing can be noted":           {full: true},
		"before the stop was asked for":  {noted: "r1", asks: 1, ends: true},
		"the stop was asked for":         {noted: "r1", job: "stop", ends: true},
		"somebody starts it again":       {noted: "r1", job: "start"},
		"somebody restarts it":           {noted: "r1", job: "restart"},
		"somebody stops it":              {job: "stop"},
		"somebody stops a run after it":  {noted: "r0", job: "stop"},
		"the note is of a run before it": {noted: "r0", asks: 1, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			st := w.playing(t, onFailure)
			one, s := st.Plan.Pods[0], w.Player.store
			a := container(one, "a")
			one.Job = &kube.Job{} // that may fail no more
			if err := s.save(st); err != nil {
				t.Fatal(err)
			}
			w.Own.Name, w.env["INVOCATION_ID"] = a.Unit, "r1"
			w.env["EXIT_CODE"], w.env["EXIT_STATUS"], w.env["SERVICE_RESULT"] = "exited", "3", "exit-code"
			if c.noted != "" {
				if err := s.ended(st.Name, end{Code: 3, Run: c.noted}, one.Name, "a"); err != nil {
					t.Fatal(err)
				}
			}
			if c.full {
				if err := errors.Join(os.MkdirAll(s.dir(st.Name), 0o700), os.WriteFile(filepath.Join(s.dir(st.Name), "ended"), nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			w.manager.job, w.manager.restart = c.job, "on-failure"
			w.manager.does = func(call string) {
				if e, over := s.endOf(st.Name, one.Name, "a"); call == "stop "+a.Unit && (!over || e.Run != "r1" || e.Code != 3) {
					t.Errorf("the stop is asked for, and noted is %v %+v", over, e)
				}
			}
			if err := w.Ended(t.Context(), st.Name, one.Name, "a"); (err != nil) != c.full {
				t.Error(err)
			}
			if got := w.manager.asked("stop"); len(got) != c.asks {
				t.Errorf("asked to stop %q", got)
			}
			if ends := w.Pods.Status(w.record(t, one.Name)).InfraPID == 0; ends != c.ends {
				t.Errorf("the pod ends: %t", ends)
			}
			if HasEnded(w.Engine, st.Name, one.Name, "a") == c.full {
				t.Error("its end is handled, or not")
			}
		})
	}
}
