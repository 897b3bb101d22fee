// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/kube"
	"github.com/podunit/podunit/runner/spec"
)

func TestWhatOfAPlayStartsAtBoot(t *testing.T) {
	always := kube.Pod{Start: true, Restart: "Always"}
	for name, c := range map[string]struct {
		st   State
		pod  kube.Pod
		want bool
	}{
		"a pod":                    {State{}, always, true},
		"a pod that runs once":     {State{}, kube.Pod{Start: true, Restart: "Never"}, false},
		"a job's pod":              {State{}, kube.Pod{Start: true, Restart: "OnFailure", Job: &kube.Job{}}, false},
		"a Deployment without any": {State{}, kube.Pod{Restart: "Always"}, false},
		"a CronJob":                {State{}, kube.Pod{Start: true, Restart: "Never", Cron: &kube.Cron{}}, true},
		"a suspended CronJob":      {State{}, kube.Pod{Start: true, Cron: &kube.Cron{Suspended: true}}, false},
		"one of a .kube file":      {State{Unit: "tv.service"}, always, false},
		"a run of a CronJob":       {State{Of: "cronjob nightly"}, always, false},
		"one that somebody awaits": {State{Once: true}, always, false},
	} {
		if got := startsAtBoot(&c.st, &c.pod); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

const tick = `apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "@hourly"
  jobTemplate:
    spec:
      template:
        spec:
          hostNetwork: true
          restartPolicy: Never
          containers: [{name: a, image: quay.io/x/a:1}]
`

// ends takes away what is in memory of a pod that ran, and its units, as a boot does.
func (w *world) ends(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(w.Pods.Dir(w.record(t, name).ID), "status.json")); err != nil {
		t.Fatal(err)
	}
	clear(w.manager.active)
}

// bare has a pod that runs, and no container of it; note is what is noted of their start.
func (w *world) bare(t *testing.T, note string) {
	t.Helper()
	st := w.playing(t, twoContainers)
	for _, c := range st.Plan.Pods[0].Containers {
		delete(w.manager.active, c.Unit)
	}
	if note == "" {
		return
	}
	if err := w.Player.store.setVerdict(st.Name, verdict{ID: w.record(t, "web").ID, Why: againUnits + "x"}, "web", note); err != nil {
		t.Fatal(err)
	}
}

// TestBoot: of a pod that does not run, the first process is started, and its containers are left to
// a service of their own; of a CronJob the timer. What runs is left alone, and a pod that somebody
// has removed alone does not count.
func TestBoot(t *testing.T) {
	timer := cronUnit(planned(t, tick).Pods[0]) + ".timer"
	cron := func(w *world) {
		if err := w.Player.store.save(&State{Name: "cronjob tick", Slice: "x.slice", Plan: planned(t, tick)}); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		has    func(w *world)
		some   bool
		starts []string // how their names begin
	}{
		"nothing":         {func(*world) {}, false, nil},
		"a pod":           {func(w *world) { w.playing(t, twoContainers); w.ends(t, "web") }, true, []string{"web-pod.service", againUnits}},
		"a pod that runs": {func(w *world) { w.playing(t, twoContainers) }, true, nil},
		"a pod whose containers nobody has asked for": {func(w *world) { w.bare(t, "") }, true, []string{againUnits}},
		"one whose timer was not started":             {func(w *world) { w.bare(t, all) }, true, []string{againUnits}},
		"one whose containers are asked for":          {func(w *world) { w.bare(t, all); w.manager.active[againUnits+"x.timer"] = true }, true, nil},
		"one whose containers start":                  {func(w *world) { w.bare(t, underWay); w.manager.active[againUnits+"x.service"] = true }, true, nil},
		"one that is on its way up": {func(w *world) {
			w.bare(t, "")
			status := filepath.Join(w.Pods.Dir(w.record(t, "web").ID), "status.json")
			if err := os.Rename(status, status+"-later"); err != nil {
				t.Fatal(err)
			}
			w.manager.state = func(name string) string {
				if name == "web-pod.service" && os.Rename(status+"-later", status) == nil {
					return "activating"
				}
				return ""
			}
		}, true, []string{againUnits}},
		"a CronJob":         {cron, true, []string{timer}},
		"a timer that runs": {func(w *world) { cron(w); w.manager.active[timer] = true }, true, nil},
		"a pod that is gone": {func(w *world) {
			if err := w.Player.store.save(&State{Name: "pod web", Plan: planned(t, twoContainers)}); err != nil {
				t.Fatal(err)
			}
		}, false, nil},
	} {
		w := newWorld(t)
		c.has(w)
		if some, err := w.Boot(t.Context()); err != nil || some != c.some {
			t.Errorf("%s: something to start: %v, %v", name, some, err)
		}
		if got := w.manager.asked("start"); !slices.EqualFunc(got, c.starts, strings.HasPrefix) {
			t.Errorf("%s: started %q, want %q", name, got, c.starts)
		}
		if stops := w.manager.asked("stop"); c.starts == nil && len(stops) > 0 {
			t.Errorf("%s: stopped %q", name, stops)
		}
	}
}

// TestBootGoesOn: a pod that does not start is told, counts, and keeps no other from its start.
func TestBootGoesOn(t *testing.T) {
	w := newWorld(t)
	w.playing(t, twoContainers)
	w.ends(t, "web")
	if err := w.Player.store.save(&State{Name: "z", Slice: "x.slice", Plan: planned(t, tick)}); err != nil {
		t.Fatal(err)
	}
	none := errors.New("no memory")
	w.manager.fails["start web-pod.service"] = none
	some, err := w.Boot(t.Context())
	if !some || !errors.Is(err, none) || !strings.Contains(err.Error(), "pod web") {
		t.Errorf("something to start: %v, %v", some, err)
	}
	if starts := w.manager.asked("start"); len(starts) != 2 || !strings.HasSuffix(starts[1], ".timer") {
		t.Errorf("started %q", starts)
	}
}

// TestBootOfPodsThatWait: the first processes of all pods of a play run before the containers of one
// of them begin, which may wait for another pod and hold the play's lock meanwhile.
func TestBootOfPodsThatWait(t *testing.T) {
	w := newWorld(t)
	w.playing(t, twoContainers+"---\n"+strings.Replace(twoContainers, "name: web", "name: db", 1))
	if _, err := w.Pods.Create(t.Context(), spec.Pod{Name: "db"}, "", nil); err != nil {
		t.Fatal(err)
	}
	w.ends(t, "web")
	if some, err := w.Boot(t.Context()); err != nil || !some {
		t.Errorf("something to start: %v, %v", some, err)
	}
	if got := w.manager.asked("start"); !slices.EqualFunc(got, []string{"web-pod.service", "db-pod.service", againUnits, againUnits}, strings.HasPrefix) {
		t.Errorf("started %q", got)
	}
}
