// SPDX-License-Identifier: Apache-2.0

package play

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/image"
	"github.com/podunit/podunit/runner/kube"
)

const restartsAll = `apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  hostNetwork: true
  initContainers:
  - {name: i, image: quay.io/x/a:1}
  - {name: s, image: quay.io/x/a:1, restartPolicy: Always}
  containers:
  - name: a
    image: quay.io/x/a:1
    restartPolicy: Always
    restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]
  - {name: b, image: quay.io/x/b:1}
`

// TestRestartAllContainers: an end that a rule names has all containers of the pod started anew by
// somebody else, once, sidecars stopped last and init containers first at the start; the manager
// does not start the unit by itself. Another end does nothing of it. If the start fails, the pod
// has failed.
func TestRestartAllContainers(t *testing.T) {
	for _, fails := range []bool{false, true} {
		w := newWorld(t)
		st := w.playing(t, restartsAll)
		a := container(st.Plan.Pods[0], "a")
		if got := w.containerUnit(st, st.Plan.Pods[0], a).Settings["RestartPreventExitStatus"]; !slices.Equal(got.(exitStatuses).Codes, []int32{42}) {
			t.Errorf("RestartPreventExitStatus=%v", got)
		}
		timers := func() (n int) {
			for _, name := range w.manager.asked("start") {
				if strings.HasPrefix(name, "podunit-again-") {
					n++
				}
			}
			return n
		}
		w.Own.Name = a.Unit
		for i, status := range []string{"41", "42", "42"} { // the second time while the first is waited for
			w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = "exited", status
			if err := w.ContainerEnded(t.Context(), st.Name, "web", "a"); err != nil {
				t.Fatal(err)
			}
			if timers() != i {
				t.Errorf("after %s: %d timers", status, timers())
			}
			if _, over := w.Player.store.endOf(st.Name, "web", "a"); over != (status == "41") {
				t.Errorf("after %s it is noted as ended for good: %v", status, over)
			}
			if err := w.Player.store.lives(st.Name, "web", "a"); err != nil {
				t.Fatal(err)
			}
		}
		w.manager.calls = nil
		if fails {
			w.manager.fails["start web-b.service"] = errors.New("no memory")
		}
		if err := w.Again(t.Context(), st.Name, "web"); (err != nil) != fails {
			t.Fatal(err)
		}
		stops, starts := w.manager.asked("stop"), w.manager.asked("start")
		if i := slices.Index(stops, "web-s.service"); i < 2 || !slices.Contains(stops[:i], "web-a.service") || !slices.Contains(stops[:i], "web-b.service") {
			t.Errorf("stopped: %q", stops)
		}
		if len(starts) != 4 || starts[0] != "web-i.service" || starts[1] != "web-s.service" {
			t.Errorf("started: %q", starts)
		}
		e, over := w.Player.store.endOf(st.Name, "web", "b")
		if over != fails || e.Broken != fails || w.manager.active["web-a.service"] == fails {
			t.Errorf("b has ended: %+v, %v; a is active: %v", e, over, w.manager.active["web-a.service"])
		}
		w.manager.calls = nil
		if err := w.Again(t.Context(), st.Name, "web"); err != nil || len(w.manager.calls) != 0 {
			t.Errorf("a second time: %q, %v", w.manager.calls, err)
		}
	}
}

// TestAgainGoesOn: the manager executes a new start again that was killed on its way, and it begins
// anew, or is over where the pod has ended. The timer of another one has nothing to do.
func TestAgainGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		own    string
		ended  bool
		starts int
		left   bool
	}{
		"its own":                   {"podunit-again-0-1.service", false, 4, false},
		"its own, the pod has gone": {"podunit-again-0-1.service", true, 0, false},
		"another one":               {"podunit-again-0-2.service", false, 0, true},
		"a container's":             {"web-a.service", false, 0, true},
	} {
		w := newWorld(t)
		st := w.playing(t, restartsAll)
		if err := w.Player.store.setVerdict(st.Name, verdict{ID: w.record(t, "web").ID, Why: "podunit-again-0-1"}, "web", underWay); err != nil {
			t.Fatal(err)
		}
		if c.ended {
			w.ends(t, "web")
		}
		w.manager.calls = nil
		w.Own.Name = c.own
		if err := w.Again(t.Context(), st.Name, "web"); err != nil || len(w.manager.asked("start")) != c.starts {
			t.Errorf("%s: started %q, %v", name, w.manager.asked("start"), err)
		}
		if left := w.Player.store.verdict(st.Name, "web", underWay).ID != ""; left != c.left {
			t.Errorf("%s: it is under way: %v", name, left)
		}
	}
}

// TestDownEndsANewStart: who takes a pod down, or plays it anew, does not wait for a new start of
// its containers that goes on for as long as an init container fails. A play that fails then has
// asked for it again.
func TestDownEndsANewStart(t *testing.T) {
	for name, take := range map[string]func(*world, *State) error{
		"down": func(w *world, st *State) error {
			_, err := w.Down(t.Context(), st.Plan, false)
			return err
		},
		"play": func(w *world, _ *State) error {
			w.Images = &pulls{}
			_, err := w.Play(t.Context(), planned(t, restartsAll), Options{Replace: true})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			st := w.playing(t, restartsAll)
			r, err := w.Pods.LookupExact("web")
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Player.store.setVerdict(st.Name, verdict{ID: r.ID, Why: "podunit-again-0-0"}, "web", all); err != nil {
				t.Fatal(err)
			}
			started, stop := context.WithCancel(t.Context())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w.manager.fails["start web-i.service"] = errors.New("it fails")
			w.manager.does = func(call string) {
				switch call {
				case "start web-i.service":
					stop()
				case "stop podunit-again-0-1.service":
					cancel()
				}
			}
			engine := *w.Engine
			engine.Own.Name = "podunit-again-0-1.service"
			other := &Player{Engine: &engine, store: w.Player.store, volumes: w.Player.volumes}
			ended := make(chan error, 1)
			go func() { ended <- other.Again(ctx, st.Name, "web") }()
			<-started.Done()
			if err := take(w, st); (err != nil) != (name == "play") {
				t.Errorf("%v", err)
			}
			if err := <-ended; err == nil {
				t.Error("the new start has not been ended")
			}
			asked := slices.ContainsFunc(w.manager.asked("start"), func(name string) bool { return strings.HasPrefix(name, "podunit-again-") })
			if asked != (name == "play") {
				t.Errorf("it is asked for again: %v", asked)
			}
		})
	}
}

// TestAgainWaitsLonger: the time before a new start of all containers doubles up to five minutes,
// and begins anew when the pod was calm. A job that may fail no more has no further one.
func TestAgainWaitsLonger(t *testing.T) {
	w := newWorld(t)
	st := w.playing(t, restartsAll)
	one, a := st.Plan.Pods[0], container(st.Plan.Pods[0], "a")
	counts, pending := w.Player.store.verdictPath(st.Name, []string{"web", alls}), w.Player.store.verdictPath(st.Name, []string{"web", all})
	ask := func(want int, wantOver bool) {
		t.Helper()
		over, err := w.Player.again(t.Context(), st, one, a)
		if got := w.Player.store.verdict(st.Name, "web", alls).Good; err != nil || over != wantOver || got != want {
			t.Errorf("after %d s, over: %v, %v; want %d s, %v", got, over, err, want, wantOver)
		}
	}
	for _, want := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		ask(want, false)
		ask(want, false) // another container at the same time
		if err := os.Remove(pending); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-a.Restart.Calm - 301*time.Second)
	if err := os.Chtimes(counts, long, long); err != nil {
		t.Fatal(err)
	}
	one.Job = &kube.Job{BackoffLimit: 1}
	ask(1, false)
	if err := os.Remove(pending); err != nil {
		t.Fatal(err)
	}
	ask(1, true)
	if err := w.Player.store.save(st); err != nil {
		t.Fatal(err)
	}
	w.Own.Name = a.Unit
	w.env["EXIT_CODE"], w.env["EXIT_STATUS"] = "exited", "42"
	if err := w.ContainerEnded(t.Context(), st.Name, "web", "a"); err != nil {
		t.Fatal(err)
	}
	if e, over := w.Player.store.endOf(st.Name, "web", "a"); !over || e.Code == 0 {
		t.Errorf("the job's container has ended: %v, %+v", over, e)
	}
}

// startsAnew plays ends of containers: where the unit of one is started, it ends with the status
// that stands for it, if one does, and executes what its service executes then. Each status is used
// once.
func (w *world) startsAnew(t *testing.T, st *State, ends map[string][]string) {
	t.Helper()
	w.manager.job = "start" // the service is being started
	var mu sync.Mutex
	w.manager.ends = func(call string) error {
		unit, started := strings.CutPrefix(call, "start ")
		mu.Lock()
		statuses := ends[unit]
		if started && len(statuses) > 0 {
			ends[unit] = statuses[1:]
		}
		mu.Unlock()
		if !started || len(statuses) == 0 {
			return nil
		}
		engine := *w.Engine
		engine.Own.Name = unit
		engine.Lookup = func(name string) (string, bool) {
			v, ok := map[string]string{"EXIT_CODE": "exited", "EXIT_STATUS": statuses[0]}[name]
			return v, ok
		}
		service := &Player{Engine: &engine, store: w.Player.store, volumes: w.Player.volumes}
		name := strings.TrimSuffix(strings.TrimPrefix(unit, "web-"), ".service")
		if err := service.ContainerEnded(t.Context(), st.Name, "web", name); err != nil {
			t.Error(err)
		}
		return errors.New("exit status " + statuses[0])
	}
}

// TestRestartAllBeforeReady: a rule may name an end before the container is ready, and that of an
// init container: the start that is under way begins anew with the first container, once the others
// are stopped, and the timer has nothing to do.
func TestRestartAllBeforeReady(t *testing.T) {
	yaml := strings.Replace(restartsAll, "{name: i, image: quay.io/x/a:1}",
		"{name: i, image: quay.io/x/a:1, restartPolicy: Never, restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: NotIn, values: [3]}}]}", 1)
	for name, c := range map[string]struct {
		ends   map[string][]string
		starts string // of i, s and a, in order
		fails  bool
		job    *kube.Job
	}{
		"an init container": {map[string][]string{"web-i.service": {"7", "8"}}, "i i i s a", false, nil},
		"another end of it": {map[string][]string{"web-i.service": {"3"}}, "i", true, nil},
		"a container":       {map[string][]string{"web-a.service": {"42"}}, "i s a i s a", false, nil},
		"another end":       {map[string][]string{"web-a.service": {"1"}}, "i s a", true, nil},
		"again and again":   {map[string][]string{"web-i.service": {"7", "7", "7", "7", "7"}}, "i i i i i", true, nil},
		"of a job":          {map[string][]string{"web-i.service": {"7", "7", "7"}}, "i i i", true, &kube.Job{BackoffLimit: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			st := w.playing(t, yaml)
			one := st.Plan.Pods[0]
			for _, c := range one.Containers {
				c.Restart.First, c.Restart.Max = time.Millisecond, time.Millisecond
			}
			if one.Job = c.job; c.job != nil {
				container(one, "i").Restart.Policy = "on-failure" // its rule comes first
			}
			if err := w.Player.store.save(st); err != nil {
				t.Fatal(err)
			}
			w.startsAnew(t, st, c.ends)
			r, err := w.Pods.LookupExact("web")
			if err != nil {
				t.Fatal(err)
			}
			w.manager.calls = nil
			work := &work{Player: w.Player, st: st, plan: st.Plan, seen: map[string]string{}}
			if err := work.start(t.Context(), r, one, one.Containers); (err != nil) != c.fails {
				t.Errorf("it fails: %v", err)
			}
			var starts []string
			for _, unit := range w.manager.asked("start") {
				if name := strings.TrimSuffix(strings.TrimPrefix(unit, "web-"), ".service"); strings.Contains("isa", name) {
					starts = append(starts, name)
				}
			}
			if got := strings.Join(starts, " "); got != c.starts {
				t.Errorf("started %s, want %s", got, c.starts)
			}
			if err := w.Again(t.Context(), st.Name, "web"); err != nil || w.Player.store.verdict(st.Name, "web", all).ID != "" {
				t.Errorf("something is left for the timer: %v", err)
			}
		})
	}
}

// TestStartWithoutAnEnd: where an init container does not even start, its policy decides, and not
// what its rules say of an earlier end.
func TestStartWithoutAnEnd(t *testing.T) {
	yaml := strings.Replace(restartsAll, "{name: i, image: quay.io/x/a:1}",
		"{name: i, image: quay.io/x/a:1, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [7]}}]}", 1)
	w := newWorld(t)
	st := w.playing(t, yaml)
	one := st.Plan.Pods[0]
	r, err := w.Pods.LookupExact("web")
	if err == nil {
		err = w.Player.store.setVerdict(st.Name, verdict{Why: "exited 7"}, "web", "i", lastExit)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.manager.fails["start web-i.service"] = errors.New("no such image")
	work := &work{Player: w.Player, st: st, plan: st.Plan, seen: map[string]string{}}
	if err := work.start(t.Context(), r, one, one.Containers); err == nil || len(w.manager.asked("start")) != 1 {
		t.Errorf("started %v: %v", w.manager.asked("start"), err)
	}
}

// TestRulesOfInitContainers: whether an init container that has failed is tried again is what its
// rules say, and then its policy.
func TestRulesOfInitContainers(t *testing.T) {
	yaml := strings.Replace(restartsAll, "{name: i, image: quay.io/x/a:1}",
		"{name: i, image: quay.io/x/a:1, restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [7]}}]}", 1)
	for status, want := range map[string]int{"7": 2, "8": 1} {
		w := newWorld(t)
		st := w.playing(t, yaml)
		one := st.Plan.Pods[0]
		w.startsAnew(t, st, map[string][]string{"web-i.service": {status}})
		work := &work{Player: w.Player, st: st, plan: st.Plan, seen: map[string]string{}}
		r, err := w.Pods.LookupExact("web")
		if err != nil {
			t.Fatal(err)
		}
		w.manager.calls = nil
		if err := work.start(t.Context(), r, one, one.Containers); (err != nil) != (status == "8") {
			t.Errorf("after %s: %v", status, err)
		}
		if got := len(w.manager.asked("start")); status == "8" && got != want || got < want {
			t.Errorf("after %s: started %v", status, w.manager.asked("start"))
		}
	}
}

// TestPlayInPlaceOfAHalfOne: a play that takes the place of a killed one does not wait for its new
// start of all containers, whose init container may never end; and it asks for that start again if
// it does not get so far as to replace the pod.
func TestPlayInPlaceOfAHalfOne(t *testing.T) {
	for _, half := range []bool{true, false} {
		w := newWorld(t)
		w.Images = &pulls{}
		st := w.playing(t, restartsAll)
		r, err := w.Pods.LookupExact("web")
		if err == nil {
			err = w.Player.store.setVerdict(st.Name, verdict{ID: r.ID, Why: "podunit-again-x"}, "web", underWay)
		}
		if err == nil && half {
			err = w.Player.store.setHalf(st.Name)
		}
		if err != nil {
			t.Fatal(err)
		}
		release := w.hold("kube " + st.Name)
		w.manager.does = func(call string) {
			if call == "stop podunit-again-x.service" {
				release()
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // that nobody waits for
		if !half {
			cancel() // a play that may replace nothing waits
		}
		_, err = w.play(ctx, &State{Name: st.Name, Plan: planned(t, otherContainers)}, Options{})
		cancel()
		stopped := slices.Contains(w.manager.asked("stop"), "podunit-again-x.service")
		if stopped != half || err == nil || half != errors.Is(err, image.ErrUnknown) {
			t.Errorf("half %v: the new start is stopped: %v; %v", half, stopped, err)
		}
		again := slices.ContainsFunc(w.manager.asked("start"), func(name string) bool { return strings.HasPrefix(name, againUnits) })
		if again != half {
			t.Errorf("half %v: asked for again: %v", half, again)
		}
	}
}
