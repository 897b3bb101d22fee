// SPDX-License-Identifier: Apache-2.0

package play

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/spec"
)

// record is what is noted of a pod.
func (w *world) record(t *testing.T, name string) pod.Record {
	t.Helper()
	r, err := w.Pods.LookupExact(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStartPod: in a pod that runs, the containers start whose units do not run, and no init
// container; of a pod that has ended the first process and all containers, in their order.
func TestStartPod(t *testing.T) {
	for name, c := range map[string]struct {
		active []string
		want   []string
	}{
		"all run":         {[]string{"web-s.service", "web-a.service", "web-b.service"}, nil},
		"one has ended":   {[]string{"web-s.service", "web-a.service"}, []string{"web-b.service"}},
		"a sidecar, too":  {[]string{"web-a.service"}, []string{"web-s.service", "web-b.service"}},
		"an init goes on": {[]string{"web-i.service", "web-s.service", "web-b.service"}, []string{"web-a.service"}},
		"none runs":       {nil, []string{"web-s.service", "web-a.service", "web-b.service"}},
	} {
		w := newWorld(t)
		w.playing(t, restartsAll)
		clear(w.manager.active)
		for _, unit := range append(c.active, "web-pod.service") {
			w.manager.active[unit] = true
		}
		if played, err := w.StartPod(t.Context(), w.record(t, "web")); err != nil || !played {
			t.Errorf("%s: of a play: %v, %v", name, played, err)
		}
		got := w.manager.asked("start")
		if len(got) == 3 {
			slices.Sort(got[1:]) // they start at the same time, after the sidecar
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: started %q, want %q", name, got, c.want)
		}
	}
	w := newWorld(t)
	w.playing(t, restartsAll)
	w.ends(t, "web")
	if _, err := w.StartPod(t.Context(), w.record(t, "web")); err != nil {
		t.Error(err)
	}
	got := w.manager.asked("start")
	if len(got) != 5 || !slices.Equal(got[:3], []string{"web-pod.service", "web-i.service", "web-s.service"}) {
		t.Errorf("of a pod that has ended: started %q", got)
	}
}

// TestStartPodOfNoPlay: a pod that no play has made is left to the caller.
func TestStartPodOfNoPlay(t *testing.T) {
	w := newWorld(t)
	w.playing(t, restartsAll)
	r, err := w.Pods.Create(t.Context(), spec.Pod{Name: "other"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if played, err := w.StartPod(t.Context(), r); played || err != nil || len(w.manager.calls) > 0 {
		t.Errorf("of a play: %v, %v; %q", played, err, w.manager.calls)
	}
}

// TestRestartPod: all containers of a pod are stopped and started, and its first process goes on. If
// one does not start, the pod has failed: none of its containers runs, and all have ended for good.
func TestRestartPod(t *testing.T) {
	for _, fails := range []bool{false, true} {
		w := newWorld(t)
		st := w.playing(t, restartsAll)
		none := errors.New("no memory")
		if fails {
			w.manager.fails["start web-b.service"] = none
		}
		r := w.record(t, "web")
		if played, err := w.RestartPod(t.Context(), r); !played || errors.Is(err, none) != fails || !fails && err != nil {
			t.Errorf("of a play: %v, %v", played, err)
		}
		stops, starts := w.manager.asked("stop"), w.manager.asked("start")
		for _, c := range st.Plan.Pods[0].Containers {
			if !slices.Contains(stops, c.Unit) || !slices.Contains(starts, c.Unit) {
				t.Errorf("%s: stopped %q, started %q", c.Unit, stops, starts)
			}
			if fails && w.manager.active[c.Unit] {
				t.Errorf("%s runs in a pod that has failed", c.Unit)
			}
			e, over := w.Player.store.endOf(st.Name, "web", c.Name)
			if ordinary := strings.Contains("ab", c.Name); over != (fails && ordinary) || e.Broken != over {
				t.Errorf("%s has ended: %v, %+v", c.Unit, over, e)
			}
		}
		if slices.Contains(stops, "web-pod.service") || slices.Contains(starts, "web-pod.service") {
			t.Errorf("the pod's service: stopped %q, started %q", stops, starts)
		}
	}
}
