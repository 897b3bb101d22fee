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
	"testing/synctest"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/health"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
	"golang.org/x/sys/unix"
)

func TestRename(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "web.service")
	w.made("taken", nil)
	if err := w.Rename(t.Context(), r, "taken"); !errors.Is(err, container.ErrNameInUse) {
		t.Errorf("%v", err)
	}
	if err := w.Rename(t.Context(), r, "other"); err != nil {
		t.Fatal(err)
	}
	now, err := w.Containers.LookupExact("other")
	if err != nil || now.ID != r.ID || w.exists("web") {
		t.Errorf("%+v, %v", now, err)
	}
	if names, err := os.ReadDir(w.Containers.RunDir + "/names"); err != nil || len(names) != 2 || names[0].Name() != "other" {
		t.Errorf("%v, %v", names, err)
	}
	owned := w.made("owned", func(r *container.Record) { r.Unit = "owned.service" })
	if err := w.Rename(t.Context(), owned, "free"); err == nil || w.exists("free") {
		t.Errorf("the name of a unit file's container was changed: %v", err)
	}
}

// TestRenameOfAPeer: all who share something with a container do so under its new name. Another one
// that gets the old name is nobody of theirs.
func TestRenameOfAPeer(t *testing.T) {
	w := newWorld(t)
	vpn := w.made("vpn", nil)
	join := spec.Namespace{Mode: "container", Container: "vpn"}
	joins := map[string]func(c *spec.Container){
		"network": func(c *spec.Container) { c.Networks = []spec.Network{{Mode: spec.NetContainer, Name: "vpn"}} },
		"pid":     func(c *spec.Container) { c.PIDNS = join },
		"ipc":     func(c *spec.Container) { c.IPCNS = join },
		"uts":     func(c *spec.Container) { c.UTSNS = join },
		"cgroup":  func(c *spec.Container) { c.CgroupNS = join },
		"user":    func(c *spec.Container) { c.UserNS = spec.UserNS{Mode: spec.UserContainer, From: join} },
		"volumes": func(c *spec.Container) { c.VolumesFrom = []spec.VolumesFrom{{Container: "vpn"}} },
		"id":      func(c *spec.Container) { c.PIDNS = spec.Namespace{Mode: "container", Container: vpn.ID[:12]} },
		"nobody":  func(c *spec.Container) { c.Networks = []spec.Network{{Mode: spec.NetNamed, Name: "vpn"}} },
	}
	for name, change := range joins {
		c := w.asked(name)
		change(c)
		r := w.Containers.Prepare(*c, container.Image{}, nil)
		if err := w.Containers.Create(t.Context(), &r, container.Peers{"user": vpn}); err != nil {
			t.Fatal(err)
		}
	}
	w.made("unit", func(r *container.Record) { r.Unit, r.Spec.PIDNS = "unit.service", join })
	for name, unit := range map[string]string{"pod": "", "filed": "filed-pod.service"} {
		p := spec.Pod{Name: name, Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetContainer, Name: "vpn"}}}}
		if _, err := w.Pods.Create(t.Context(), p, unit, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Rename(t.Context(), vpn, "vpn2"); err != nil {
		t.Fatal(err)
	}
	other := w.made("vpn", nil)
	vpn, err := w.Containers.LookupExact("vpn2")
	if err != nil {
		t.Fatal(err)
	}
	for name := range joins {
		r, err := w.Containers.LookupExact(name)
		if err != nil {
			t.Fatal(err)
		}
		words := []string{}
		for _, word := range peerWordsOf(&r.Spec) {
			if *word != "" {
				words = append(words, *word)
			}
		}
		want := []string{"vpn2"}
		switch name {
		case "id":
			want = []string{vpn.ID[:12]}
		case "nobody":
			want = []string{}
		}
		if !slices.Equal(words, want) {
			t.Errorf("%s: %q, want %q", name, words, want)
		}
	}
	var needed DependentsError
	if err := w.needed(vpn); !errors.As(err, &needed) {
		t.Fatalf("it is not kept for those who joined it: %v", err)
	} else if slices.Sort(needed.Dependents); !slices.Equal(needed.Dependents, []string{"cgroup", "id", "ipc", "network", "pid", "unit", "user", "uts"}) {
		t.Errorf("%q", needed.Dependents)
	}
	if err := w.needed(other); err != nil {
		t.Errorf("another one of the old name: %v", err)
	}
	for _, name := range []string{"pod", "filed"} {
		if p, err := w.Pods.Lookup(name); err != nil || p.Spec.Networks[0].Name != "vpn2" {
			t.Errorf("%s: %+v, %v", name, p.Spec.Networks, err)
		}
	}
	if len(w.warnings) != 2 || !strings.HasPrefix(w.warnings[0], "unit.service names the container vpn in its file: ") ||
		!strings.HasPrefix(w.warnings[1], "filed-pod.service names the container vpn in its file: ") {
		t.Errorf("%q", w.warnings)
	}
}

// sharers makes a container and others that share its process IDs, and tells whom those name.
func (w *world) sharers(name string, others ...string) (container.Record, func() []string) {
	w.t.Helper()
	r := w.made(name, nil)
	for _, other := range others {
		w.made(other, func(r *container.Record) { r.Spec.PIDNS = spec.Namespace{Mode: "container", Container: name} })
	}
	return r, func() (words []string) {
		for _, other := range others {
			if r, err := w.Containers.LookupExact(other); err == nil {
				words = append(words, r.Spec.PIDNS.Container)
			}
		}
		return words
	}
}

// TestRenameThatIsCutShort: who shares something with a container means it at each moment of a
// rename, and the same command again does what a busy one of them kept from being done.
func TestRenameThatIsCutShort(t *testing.T) {
	w := newWorld(t)
	vpn, words := w.sharers("vpn", "one", "two")
	busy, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Containers.WithLock(t.Context(), "two", func(*container.Lock) error { return w.Rename(busy, vpn, "vpn2") }); !errors.Is(err, container.ErrBusy) {
		t.Errorf("a busy one: %v", err)
	}
	if got := words(); !w.exists("vpn") || w.exists("vpn2") || !slices.Equal(got, []string{vpn.ID, "vpn"}) {
		t.Errorf("with a busy one: %q", got)
	}
	var meanwhile []string
	w.Containers.Event = func(journal.Event) { meanwhile = words() } // it has its new name
	if err := w.Rename(t.Context(), vpn, "vpn2"); err != nil || !slices.Equal(meanwhile, []string{vpn.ID, vpn.ID}) {
		t.Errorf("%v, %q", err, meanwhile)
	}
	if got := words(); !slices.Equal(got, []string{"vpn2", "vpn2"}) {
		t.Errorf("at the end: %q", got)
	}
}

// TestRenameThatFails: who shares something with a container names it as before.
func TestRenameThatFails(t *testing.T) {
	w := newWorld(t)
	vpn, words := w.sharers("vpn", "one", "two")
	if err := w.Rename(t.Context(), vpn, "one"); !errors.Is(err, container.ErrNameInUse) {
		t.Errorf("to a name that is taken: %v", err)
	}
	var meanwhile []string
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := w.Containers.WithLock(t.Context(), "vpn2", func(*container.Lock) error {
		done := make(chan error)
		go func() { done <- w.Rename(short, vpn, "vpn2") }()
		time.Sleep(100 * time.Millisecond) // it waits
		meanwhile = words()
		return <-done
	})
	if !errors.Is(err, container.ErrBusy) || !slices.Equal(meanwhile, []string{vpn.ID, vpn.ID}) {
		t.Errorf("to a name that is busy: %v, %q", err, meanwhile)
	}
	if got := words(); !slices.Equal(got, []string{"vpn", "vpn"}) {
		t.Errorf("at the end: %q", got)
	}
}

// TestRenameWaitsOnce: several who are busy are waited for as long as one is.
func TestRenameWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		vpn, _ := w.sharers("vpn", "one", "two")
		began := time.Now()
		err := w.Containers.WithLock(t.Context(), "one", func(*container.Lock) error {
			return w.Containers.WithLock(t.Context(), "two", func(*container.Lock) error { return w.Rename(t.Context(), vpn, "vpn2") })
		})
		if took := time.Since(began); !errors.Is(err, container.ErrBusy) || took < lockWait || took > lockWait+time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestRenameWhilePeersGo: who is removed meanwhile keeps nobody from a new name.
func TestRenameWhilePeersGo(t *testing.T) {
	w := newWorld(t)
	vpn, words := w.sharers("vpn", "one", "two")
	one, err := w.Containers.LookupExact("one")
	if err != nil {
		t.Fatal(err)
	}
	renamed := make(chan error)
	err = w.Containers.WithLock(t.Context(), "one", func(lock *container.Lock) error {
		go func() { renamed <- w.Rename(t.Context(), vpn, "vpn2") }()
		time.Sleep(100 * time.Millisecond) // it waits
		return errors.Join(w.store.DeleteContainer(one.ID), lock.Drop())
	})
	if err := errors.Join(err, <-renamed); err != nil {
		t.Error(err)
	}
	if got := words(); !w.exists("vpn2") || !slices.Equal(got, []string{"vpn2"}) {
		t.Errorf("%q", got)
	}
}

// ended makes a container that has ended in the service of its name, which has failed.
func (w *world) ended(name string) container.Record {
	w.t.Helper()
	r := w.made(name, nil)
	w.status(r, container.Status{StartTicks: 1, StartedAt: time.Now(), Unit: name + ".service", Cgroup: "/" + name + ".service/podunit-container"})
	w.manager.set(name+".service", unit.Properties{LoadState: "loaded", ActiveState: "failed", Transient: true})
	return r
}

// TestRenameOfOneWhoseUnitEnds: the end of the unit waits for the locks of the names, so they are
// free while the unit is waited for.
func TestRenameOfOneWhoseUnitEnds(t *testing.T) {
	w := newWorld(t)
	r := w.ended("web")
	asked := 0
	w.Connect = func(context.Context) (Manager, error) {
		asked++
		now, cancel := context.WithCancel(context.Background())
		cancel()
		for _, name := range []string{"web", "old"} {
			if err := w.Containers.WithLock(now, name, func(*container.Lock) error { return nil }); err != nil {
				t.Errorf("while the unit is waited for: %v", err)
			}
		}
		return w.manager, nil
	}
	if err := w.Rename(t.Context(), r, "old"); err != nil || asked == 0 || !w.manager.asked("free web.service") {
		t.Errorf("%v; %d, %v", err, asked, w.manager.calls)
	}
}

// TestRestartAfterRename: the unit of the old name is another container's by then, unless it was
// about to start this one again.
func TestRestartAfterRename(t *testing.T) {
	w := newWorld(t)
	r := w.ended("a")
	state := filepath.Join(w.Containers.Runtime.Root, r.ID)
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Rename(t.Context(), r, "b"); err != nil {
		t.Fatal(err)
	}
	w.running(w.made("a", nil), "a.service")
	w.manager.set("a.service", unit.Properties{LoadState: "loaded", ActiveState: "active", Transient: true})
	b, err := w.Find("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Restart(t.Context(), b, 0); err != nil || w.manager.asked("restart a.service") || !w.manager.asked("start b.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
	s, err := w.Containers.Status(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if unit := w.watcher(t.Context(), b, s); unit == "a.service" || s.Cgroup != "" {
		t.Errorf("it is in %q of %q", s.Cgroup, unit)
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the runtime knows its cgroup: %v", err)
	}
	if one, err := w.Find("a.service"); err != nil || one.Name != "a" {
		t.Errorf("%s, %v", one.Name, err)
	}
	again := w.ended("c")
	w.manager.set("c.service", unit.Properties{LoadState: "loaded", ActiveState: "activating", Transient: true})
	if err := w.Rename(t.Context(), again, "d"); err != nil {
		t.Fatal(err)
	}
	if s, err := w.Containers.Status(again.ID); err != nil || s.Unit != "c.service" {
		t.Errorf("one that comes back is in %q, %v", s.Unit, err)
	}
}

// renamedAfterUse is a container b that ran as a in a.service, was renamed then and has ended, and
// another one that is a now.
func (w *world) renamedAfterUse() (b, a container.Record) {
	w.t.Helper()
	b = w.made("a", nil)
	cmd := w.running(b, "a.service")
	if err := w.Rename(w.t.Context(), b, "b"); err != nil {
		w.t.Fatal(err)
	}
	_ = cmd.Process.Kill()
	for w.alive(b) {
		time.Sleep(time.Millisecond)
	}
	b, err := w.Containers.LookupExact("b")
	if err != nil {
		w.t.Fatal(err)
	}
	return b, w.made("a", nil)
}

// TestRenamedOneLeavesItsServiceToOthers: whoever is in the service of its old name by now is
// neither stopped nor restarted in its stead.
func TestRenamedOneLeavesItsServiceToOthers(t *testing.T) {
	all := map[string]func(w *world, b container.Record) error{
		"stop":    func(w *world, b container.Record) error { return w.Stop(w.t.Context(), b, 0) },
		"restart": func(w *world, b container.Record) error { return w.Restart(w.t.Context(), b, 0) },
		"start": func(w *world, b container.Record) error {
			_, err := w.Start(w.t.Context(), b, Attachment{})
			return err
		},
		"rm":    func(w *world, b container.Record) error { return w.Remove(w.t.Context(), b, Removal{}) },
		"rm -f": func(w *world, b container.Record) error { return w.Remove(w.t.Context(), b, Removal{Force: true}) },
		"rename": func(w *world, b container.Record) error {
			return errors.Join(w.Rename(w.t.Context(), b, "c"), w.Stop(w.t.Context(), b, 0))
		},
		"run --replace": func(w *world, b container.Record) error {
			c := w.asked("b")
			c.Replace = true
			_, err := w.RunDetached(w.t.Context(), c, nil)
			return err
		},
	}
	for _, service := range []struct {
		state  string
		change func(p *unit.Properties, a *container.Record)
	}{
		{"activating", func(p *unit.Properties, a *container.Record) { p.Transient, p.Argument = true, a.ID }},
		{"active", func(p *unit.Properties, a *container.Record) { p.Transient, p.Argument = true, a.ID }},
		{"activating", func(p *unit.Properties, _ *container.Record) { p.SourcePath = "/a.container" }},
		{"activating", func(_ *unit.Properties, a *container.Record) { a.Unit = "a.service" }},
	} {
		for name, do := range all {
			w := newWorld(t)
			b, a := w.renamedAfterUse()
			p := unit.Properties{LoadState: "loaded", ActiveState: service.state}
			service.change(&p, &a)
			if err := w.Containers.Note(a); err != nil {
				t.Fatal(err)
			}
			w.manager.set("a.service", p)
			if err := do(w, b); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			for _, call := range w.manager.calls {
				if strings.HasSuffix(call, " a.service") {
					t.Errorf("%s, the other is %s: %q", name, p.ActiveState, w.manager.calls)
				}
			}
			if started := w.manager.asked("start b.service"); started != (name == "restart" || name == "start" || name == "run --replace") {
				t.Errorf("%s: %q", name, w.manager.calls)
			}
		}
	}
}

// TestRenamedOneKeepsItsServiceWhileItComesBack: until it is started by hand the service of its old
// name is its own, and stopped with it.
func TestRenamedOneKeepsItsServiceWhileItComesBack(t *testing.T) {
	w := newWorld(t)
	b, _ := w.renamedAfterUse()
	w.manager.set("a.service", unit.Properties{LoadState: "loaded", ActiveState: "activating", Transient: true, Argument: b.ID})
	if r, err := w.Find("a.service"); err != nil || r.ID != b.ID {
		t.Errorf("%s, %v", r.Name, err)
	}
	if err := w.Stop(t.Context(), b, 0); err != nil || !w.manager.asked("stop a.service") {
		t.Errorf("%v; %q", err, w.manager.calls)
	}
	w.manager.calls = nil
	if err := w.Restart(t.Context(), b, 0); err != nil || !slices.Equal(w.manager.calls, []string{"stop a.service", "free b.service", "start b.service"}) {
		t.Errorf("%v; %q", err, w.manager.calls)
	}
}

// TestRestartGivesTheNewName: a running one that was renamed gets the service of its new name, and
// its old one is free. Where somebody else asks for that before, the error says so.
func TestRestartGivesTheNewName(t *testing.T) {
	w := newWorld(t)
	r := w.made("a", nil)
	cmd := w.running(r, "a.service")
	if err := w.Rename(t.Context(), r, "b"); err != nil {
		t.Fatal(err)
	}
	w.manager.set("a.service", unit.Properties{LoadState: "loaded", ActiveState: "active", Transient: true, Argument: r.ID})
	w.manager.fails["free a.service"] = unit.NameTakenError{Unit: "a.service"}
	_, err := w.RunDetached(t.Context(), w.asked("a"), nil)
	if err == nil || !strings.Contains(err.Error(), "a.service is the service of container b, which was renamed while it ran") || w.exists("a") {
		t.Errorf("%v", err)
	}
	if h := hint.Of(err); h != "podunit restart b, and it gets b.service" {
		t.Errorf("%q", h)
	}
	w.manager.calls = nil
	w.manager.stops = func(string) error {
		_ = cmd.Process.Kill()
		for w.alive(r) {
			time.Sleep(time.Millisecond)
		}
		return nil
	}
	b, err := w.Containers.LookupExact("b")
	if err != nil {
		t.Fatal(err)
	}
	gone := b
	gone.Spec.Remove = true // its stop would remove it
	if restarts, err := w.restarts(t.Context(), gone, container.Status{PID: cmd.Process.Pid, Unit: "a.service"}, "a.service"); err != nil || !restarts {
		t.Errorf("one made with --rm: %t, %v", restarts, err)
	}
	if err := w.Restart(t.Context(), b, time.Minute); err != nil || !slices.Equal(w.manager.calls, []string{"stop a.service", "free b.service", "start b.service"}) {
		t.Errorf("%v; %q", err, w.manager.calls)
	}
}

// TestRestartInAPodKeepsTheService: a stop of the last running one would end the pod, which may take
// the container along. Whoever asks for its name is not told to restart it.
func TestRestartInAPodKeepsTheService(t *testing.T) {
	w := newWorld(t)
	p := w.pod("media")
	r := w.made("a", func(r *container.Record) { r.PodID = p.ID })
	w.up(p, unit.Own{Name: "media-pod.service"})
	w.running(r, "a.service")
	if err := w.Rename(t.Context(), r, "b"); err != nil {
		t.Fatal(err)
	}
	w.manager.set("a.service", unit.Properties{LoadState: "loaded", ActiveState: "active", Transient: true, Argument: r.ID})
	b, err := w.Containers.LookupExact("b")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Restart(t.Context(), b, time.Minute); err != nil || !slices.Equal(w.manager.calls, []string{"restart a.service"}) {
		t.Errorf("%v; %q", err, w.manager.calls)
	}
	w.manager.fails["free a.service"] = unit.NameTakenError{Unit: "a.service"}
	_, err = w.RunDetached(t.Context(), w.asked("a"), nil)
	if h := hint.Of(err); h != "podunit stop b; the next start gives it b.service" {
		t.Errorf("%v; %q", err, h)
	}
}

// TestLeftIsAskedOnce: whoever knows how a unit is does not ask the manager once more whose it is.
func TestLeftIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	r := w.ended("web")
	w.manager.set("web.service", unit.Properties{LoadState: "loaded", ActiveState: "activating", Transient: true, Argument: r.ID})
	s, err := w.Containers.Status(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	w.Connect = func(context.Context) (Manager, error) {
		asked++
		return w.manager, nil
	}
	for what, do := range map[string]func() bool{
		"restarts": func() bool {
			restarts, err := w.restarts(t.Context(), r, s, "web.service")
			return restarts && err == nil
		},
		"startedAgain": func() bool { return w.startedAgain(t.Context(), r, "web.service") },
		"watcher":      func() bool { return w.watcher(t.Context(), r, container.Status{}) == "web.service" },
	} {
		asked = 0
		if !do() || asked != 1 {
			t.Errorf("%s: the manager was asked %d times", what, asked)
		}
	}
}

// TestOneThatGoesWithItsEndKeepsItsService: a restart gives one made with --rm no other service, so
// that is not what somebody is told to do who wants the old name.
func TestOneThatGoesWithItsEndKeepsItsService(t *testing.T) {
	w := newWorld(t)
	r := w.made("a", func(r *container.Record) { r.Spec.Remove = true })
	w.running(r, "a.service")
	if err := w.Rename(t.Context(), r, "b"); err != nil {
		t.Fatal(err)
	}
	w.manager.fails["free a.service"] = unit.NameTakenError{Unit: "a.service"}
	_, err := w.RunDetached(t.Context(), w.asked("a"), nil)
	if h := hint.Of(err); h != "podunit stop b: it goes with its service, which it keeps" {
		t.Errorf("%v: %q", err, h)
	}
}

// TestRenewalKeepsTheService: who updates a container looks after the service that it runs in, or
// that has failed with it.
func TestRenewalKeepsTheService(t *testing.T) {
	for _, failed := range []bool{false, true} {
		w := newWorld(t)
		r := w.made("a", old)
		cmd := w.running(r, "a.service")
		if err := w.Rename(t.Context(), r, "b"); err != nil {
			t.Fatal(err)
		}
		b, err := w.Containers.LookupExact("b")
		if err != nil {
			t.Fatal(err)
		}
		if failed {
			if err := process.End(cmd.Process.Pid, 0, unix.SIGKILL, time.Second); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.manager.starts = func(string, unit.Service) error { cancel(); return ctx.Err() }
		if err := w.Renew(ctx, b, "f00", "a.service"); !errors.Is(err, context.Canceled) || !w.manager.asked("stop a.service") {
			t.Fatalf("failed %t: %v; %q", failed, err, w.manager.calls)
		}
		w.manager.calls, w.manager.starts = nil, nil
		if err := w.FinishRenewals(t.Context()); err != nil || !w.manager.asked("start a.service") {
			t.Errorf("failed %t: %v; %q", failed, err, w.manager.calls)
		}
	}
}

// TestRenameOfOneThatIsChecked: what its checks write, and the lock under which they stop it, is of
// the new name. One that has not been started has nothing that they go by.
func TestRenameOfOneThatIsChecked(t *testing.T) {
	w := newWorld(t)
	r := w.made("a", func(r *container.Record) { r.Health = &health.Config{} })
	if err := w.Rename(t.Context(), r, "b"); err != nil || len(w.warnings) > 0 {
		t.Fatalf("%v, %q", err, w.warnings)
	}
	r, err := w.Containers.LookupExact("b")
	if err != nil {
		t.Fatal(err)
	}
	w.running(r, "b.service")
	files := w.Containers.HealthFiles(r.ID)
	if err := files.Begin(w.checksOf(r).plan, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := w.Rename(t.Context(), r, "c"); err != nil || len(w.warnings) > 0 {
		t.Fatalf("%v, %q", err, w.warnings)
	}
	if plan, err := files.Plan(); err != nil || plan.Name != "c" || plan.ID != r.ID {
		t.Errorf("%+v, %v", plan, err)
	}
}
