// SPDX-License-Identifier: Apache-2.0

package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

// TestContainersFollowAPodThatIsTriedAgain: where the start of a pod's unit has failed, and the
// manager tries it again by itself, the containers that were made in the pod by hand start when the
// pod runs, at a restart and after a boot. They do not where the next try fails, too.
func TestContainersFollowAPodThatIsTriedAgain(t *testing.T) {
	const name = "media-pod.service"
	boot := func(w *world) error { return w.Boot(context.Background(), false) }
	restart := func(w *world) error {
		p, err := w.Pods.Lookup("media")
		if err != nil {
			return err
		}
		return w.RestartPod(context.Background(), p)
	}
	moves := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []struct {
		what  string
		comes bool
		do    func(*world) error
		call  string // fails
	}{
		{"a restart", true, restart, "restart " + name},
		{"a restart in vain", false, restart, "restart " + name},
		{"a boot", true, boot, "start " + name},
		{"a boot in vain", false, boot, "start " + name},
	} {
		t.Run(c.what, func(t *testing.T) {
			w := newWorld(t)
			var next sync.WaitGroup
			t.Cleanup(next.Wait)
			p := w.pod("media")
			w.made("web", func(r *container.Record) { r.PodID, r.Spec.Restart.Policy = p.ID, "always" })
			w.up(p, unit.Own{Name: name, Cgroup: "/" + name})
			up, down := w.Pods.Dir(p.ID)+"/status.json", w.Pods.Dir(p.ID)+"/aside"
			if c.call == "start "+name {
				moves(t, up, down)
			}
			w.manager.fails[c.call] = unit.JobError{Verb: "restart", Unit: name, Job: "failed", Result: "signal"}
			w.manager.set(name, unit.Properties{LoadState: "loaded", ActiveState: "activating"})
			w.Complaint = func(context.Context, string, time.Time, time.Duration) (string, string) {
				if c.call == "restart "+name {
					w.up(p, unit.Own{Name: name, Cgroup: "/" + name}) // the next try's
					moves(t, up, down)
				}
				next.Go(func() {
					time.Sleep(100 * time.Millisecond)
					if c.comes {
						moves(t, down, up)
						w.manager.set(name, unit.Properties{LoadState: "loaded", ActiveState: "active", Restarts: 1})
					} else {
						w.manager.set(name, unit.Properties{LoadState: "loaded", ActiveState: "activating", Restarts: 2})
					}
				})
				return "", ""
			}
			if err := c.do(w); (err == nil) != c.comes || w.manager.asked("start web.service") != c.comes {
				t.Errorf("%v; %q", err, w.manager.calls)
			}
		})
	}
}

// TestRestartOfAPodThatIsRefused: the pod that runs on is not taken for one that has come back.
func TestRestartOfAPodThatIsRefused(t *testing.T) {
	w := newWorld(t)
	p := w.pod("media")
	w.made("web", func(r *container.Record) { r.PodID = p.ID })
	w.up(p, unit.Own{Name: "media-pod.service", Cgroup: "/media-pod.service"})
	refused := errors.New("unit media-pod.service is masked")
	w.manager.fails["restart media-pod.service"] = refused
	w.manager.set("media-pod.service", unit.Properties{LoadState: "masked", ActiveState: "active"})
	if err := w.RestartPod(t.Context(), p); !errors.Is(err, refused) || w.manager.asked("start web.service") {
		t.Errorf("%v; %q", err, w.manager.calls)
	}
}

// TestRestartOfAPodThatIsMadeAnew: the unit of a unit file replaces the pod at each try, so the one
// that comes has another ID.
func TestRestartOfAPodThatIsMadeAnew(t *testing.T) {
	w := newWorld(t)
	in := unit.Own{Name: "media-pod.service", Cgroup: "/media-pod.service"}
	old := w.pod("media")
	old.Unit = in.Name
	w.up(old, in)
	failed := unit.JobError{Verb: "restart", Unit: in.Name, Job: "failed", Result: "signal"}
	w.manager.fails["restart media-pod.service"] = failed
	w.manager.set(in.Name, unit.Properties{LoadState: "loaded", ActiveState: "activating"})
	if err := w.Pods.EndInfra(old); err != nil {
		t.Fatal(err)
	}
	w.Complaint = func(context.Context, string, time.Time, time.Duration) (string, string) {
		w.up(w.pod("media"), in)
		w.manager.set(in.Name, unit.Properties{LoadState: "loaded", ActiveState: "active", Restarts: 1})
		return "", ""
	}
	if err := w.RestartPod(t.Context(), old); err != nil {
		t.Error(err)
	}
	w.Complaint = func(context.Context, string, time.Time, time.Duration) (string, string) {
		w.pod("media") // whose infra process does not start
		return "", ""
	}
	if err := w.RestartPod(t.Context(), old); !errors.Is(err, failed) {
		t.Errorf("in vain: %v", err)
	}
}

// TestRestartPodWaitsForItsMembers: each is up again at the end of the command, whatever the name of
// its unit is, and though a unit file's container is gone while its unit makes it anew.
func TestRestartPodWaitsForItsMembers(t *testing.T) {
	for name, c := range map[string]struct {
		unit string // whose restart is under way
		of   func(w *world, r *container.Record)
	}{
		"made by hand":   {"web.service", func(*world, *container.Record) {}},
		"renamed":        {"before.service", func(w *world, r *container.Record) { w.running(*r, "before.service") }},
		"of a unit file": {"shop.service", func(_ *world, r *container.Record) { r.Unit = "shop.service" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := w.pod("media")
			p.Unit = "media-pod.service"
			r := w.made("web", func(r *container.Record) { r.PodID = p.ID })
			c.of(w, &r)
			if err := w.Containers.Note(r); err != nil {
				t.Fatal(err)
			}
			w.manager.set(c.unit, unit.Properties{LoadState: "loaded", ActiveState: "activating"})
			w.manager.restarts = func(string) error {
				if r.Unit == "" {
					return nil
				}
				return w.store.DeleteContainer(r.ID)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if err := w.RestartPod(ctx, p); ctx.Err() == nil || !w.manager.asked("restart media-pod.service") {
				t.Errorf("it has not waited: %v; %q", err, w.manager.calls)
			}
		})
	}
}

// TestRestartOfAPodThatDoesNotStart: a container made with --rm goes when its restart, or its pod's,
// is dropped after its end, unless the manager starts it again. All others stay.
func TestRestartOfAPodThatDoesNotStart(t *testing.T) {
	for name, c := range map[string]struct {
		of       func(*container.Record)
		after    unit.Properties // the container's unit
		fails    error
		survives bool // its process
		stays    bool
	}{
		"dropped":                {},
		"tried again":            {after: unit.Properties{LoadState: "loaded", ActiveState: "activating"}, stays: true},
		"still running":          {survives: true, stays: true},
		"the manager is gone":    {fails: unit.NoManagerError{}, stays: true},
		"it was made without":    {of: func(r *container.Record) { r.Spec.Remove = false }, stays: true},
		"a unit file has one":    {of: func(r *container.Record) { r.Unit = "web.service" }, stays: true},
		"it is in no pod at all": {of: func(r *container.Record) { r.PodID = "" }, stays: true},
	} {
		for _, how := range []struct {
			whole bool
			says  string // what podunit has written in the unit
		}{{true, ""}, {true, "publish 8080: the port is already in use"}, {false, ""}, {false, "publish 8080: the port is already in use"}} {
			whole := how.whole
			if whole && name == "it is in no pod at all" {
				continue
			}
			t.Run(fmt.Sprintf("%s, the whole pod %t, it says %q", name, whole, how.says), func(t *testing.T) {
				w := newWorld(t)
				w.Complaint = func(context.Context, string, time.Time, time.Duration) (string, string) { return how.says, "" }
				const pod = "media-pod.service"
				p := w.pod("media")
				r := w.made("web", func(r *container.Record) {
					r.PodID, r.Spec.Remove = p.ID, true
					if c.of != nil {
						c.of(r)
					}
				})
				w.made("waits", func(r *container.Record) { r.PodID, r.Spec.Remove = p.ID, true }) // it was never started
				w.up(p, unit.Own{Name: pod, Cgroup: "/" + pod})
				web := w.running(r, "web.service")
				w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "active", Transient: true, Argument: r.ID, MainPID: web.Process.Pid})
				w.manager.restarts = func(asked string) error {
					if err := os.Remove(w.Pods.Dir(p.ID) + "/status.json"); err != nil { // it does not run
						t.Error(err)
					}
					if !c.survives {
						if err := process.End(web.Process.Pid, 0, unix.SIGKILL, time.Second); err != nil {
							t.Error(err)
						}
						after := c.after
						if after.LoadState == "" {
							after.LoadState = "not-found"
						}
						w.manager.set("web.service", after)
					}
					return cmp.Or(c.fails, error(unit.JobError{Verb: "restart", Unit: asked, Job: "dependency"}))
				}
				do := func() error { return w.Restart(t.Context(), r, time.Second) }
				if whole {
					do = func() error { return w.RestartPod(t.Context(), p) }
				}
				err := do()
				if err == nil || w.exists("web") != c.stays || !w.exists("waits") {
					t.Errorf("%v; it is there: %t, and the other: %t; %q", err, w.exists("web"), w.exists("waits"), w.manager.calls)
				}
				if way := hint.Of(err); how.says != "" && c.fails == nil && (way != "" || !strings.HasSuffix(err.Error(), how.says)) {
					t.Errorf("%v; the way out is %q", err, way)
				}
			})
		}
	}
}
