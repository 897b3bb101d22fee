// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

// restarting is a world whose machine has the unit that starts containers at boot.
func restarting(t *testing.T) *world {
	w := newWorld(t)
	w.home = t.TempDir()
	w.manager.set(bootUnit, unit.Properties{LoadState: "loaded", ActiveState: "inactive"})
	return w
}

func (w *world) noted() bool {
	_, err := os.Stat(w.bootNote())
	return err == nil
}

func TestWhatRunsAgainAfterABoot(t *testing.T) {
	for _, c := range []struct {
		name, policy, unit string
		stopped, want      bool
	}{
		{"always", "always", "", false, true},
		{"always, although somebody stopped it", "always", "", true, true},
		{"unless-stopped", "unless-stopped", "", false, true},
		{"unless-stopped, and somebody did", "unless-stopped", "", true, false},
		{"on-failure", "on-failure", "", false, false},
		{"no policy", "", "", false, false},
		{"what a unit file made", "always", "web.service", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := restarting(t)
			r := w.made("web", func(r *container.Record) { r.Spec.Restart, r.Unit = spec.Restart{Policy: c.policy}, c.unit })
			if c.stopped {
				if err := w.Stop(context.Background(), r, never); err != nil {
					t.Fatal(err)
				}
			}
			w.inService(bootUnit)
			if err := w.Boot(context.Background(), false); err != nil || w.manager.asked("start web.service") != c.want {
				t.Errorf("%v; %v", err, w.manager.calls)
			}
		})
	}
}

// TestTheEndOfAMachineIsNoStop: at a shutdown the unit's own command stops the container.
func TestTheEndOfAMachineIsNoStop(t *testing.T) {
	w := restarting(t)
	r := w.made("web", nil)
	w.running(r, "web.service")
	w.inService("web.service")
	if err := w.Stop(context.Background(), r, never); err != nil {
		t.Fatal(err)
	}
	if stopped, err := w.Containers.Stopped(r.ID); err != nil || stopped {
		t.Errorf("%t, %v", stopped, err)
	}
}

func TestAStartThatFailsAtBootIsTriedAgain(t *testing.T) {
	w := restarting(t)
	w.made("web", func(r *container.Record) { r.Spec.Restart.Policy = "always" })
	w.manager.fails["start web.service"] = unit.JobError{Verb: "start", Unit: "web.service", Job: "failed"}
	if err := w.Boot(context.Background(), false); err == nil || w.manager.asked("stop web.service") {
		t.Errorf("%v; %v", err, w.manager.calls)
	}
}

func TestTheNoteForTheBoot(t *testing.T) {
	w := restarting(t)
	c := w.asked("web")
	c.Detach = true
	if _, _, err := w.Run(context.Background(), c, nil); err != nil || w.noted() {
		t.Errorf("without a policy: %v; noted %t", err, w.noted())
	}
	c = w.asked("db")
	c.Detach, c.Restart.Policy = true, "always"
	r, _, err := w.Run(context.Background(), c, nil)
	if err != nil || !w.noted() || len(w.warnings) != 0 {
		t.Errorf("%v; noted %t; %q", err, w.noted(), w.warnings)
	}
	if err := w.Boot(context.Background(), false); err != nil || !w.noted() {
		t.Errorf("a boot: %v; noted %t", err, w.noted())
	}
	if err := w.Remove(context.Background(), r, Removal{Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := w.Boot(context.Background(), false); err != nil || w.noted() {
		t.Errorf("a boot without any: %v; noted %t", err, w.noted())
	}
}

func TestNobodyStartsItAtBoot(t *testing.T) {
	w := newWorld(t)
	w.home = t.TempDir()
	c := w.asked("web")
	c.Detach, c.Restart.Policy = true, "unless-stopped"
	if _, _, err := w.Run(context.Background(), c, nil); err != nil || w.noted() {
		t.Errorf("%v; noted %t", err, w.noted())
	}
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "not started again after a reboot") {
		t.Errorf("%q", w.warnings)
	}
}

func TestWhoDoesNotLingerIsToldOnce(t *testing.T) {
	w := newWorld(t)
	w.User.UID, w.env["USER"] = 4711, "dora"
	w.lingers = func(user string) bool { return user != "dora" }
	for _, name := range []string{"one", "two"} {
		c := w.asked(name)
		c.Detach = true
		if _, _, err := w.Run(context.Background(), c, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "container one ends with the last session of dora") || !strings.Contains(w.warnings[0], "loginctl enable-linger dora") {
		t.Errorf("%q", w.warnings)
	}
	w = newWorld(t)
	w.User.UID, w.env["USER"] = 4711, "dora"
	w.lingers = func(string) bool { return true }
	if err := w.StartPod(context.Background(), w.pod("media")); err != nil || len(w.warnings) != 0 {
		t.Errorf("who lingers: %v; %q", err, w.warnings)
	}
	w.lingers = func(string) bool { return false }
	if err := w.StartPod(context.Background(), w.pod("more")); err != nil || len(w.warnings) != 1 {
		t.Errorf("a pod: %v; %q", err, w.warnings)
	}
}

// TestAFailedStartIsOver: with a restart policy the manager would try again, and keep the name.
func TestAFailedStartIsOver(t *testing.T) {
	w := newWorld(t)
	w.manager.fails["start web.service"] = unit.JobError{Verb: "start", Unit: "web.service", Job: "failed", Result: "exit-code"}
	c := w.asked("web")
	c.Detach, c.Restart.Policy = true, "unless-stopped"
	if _, _, err := w.Run(context.Background(), c, nil); err == nil || w.exists("web") {
		t.Errorf("%v; it is there: %t", err, w.exists("web"))
	}
	want := []string{"free web.service", "start web.service", "stop web.service", "free web.service"}
	if !slices.Equal(w.manager.calls, want) {
		t.Errorf("%v, want %v", w.manager.calls, want)
	}
	p := w.pod("media")
	w.manager.fails["start media-pod.service"] = unit.JobError{Verb: "start", Unit: "media-pod.service", Job: "failed"}
	if err := w.StartPod(context.Background(), p); err == nil || !w.manager.asked("stop media-pod.service") {
		t.Errorf("a pod: %v; %v", err, w.manager.calls)
	}
}

func TestAFileForTheIDThatIsThere(t *testing.T) {
	w := newWorld(t)
	path := t.TempDir() + "/id"
	if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, detach := range []bool{true, false} {
		c := w.asked("web")
		c.Detach, c.CIDFile = detach, path
		if _, _, err := w.Run(context.Background(), c, nil); err == nil || w.exists("web") || len(w.manager.calls) != 0 {
			t.Errorf("run, detached %t: %v; it is there: %t; %v", detach, err, w.exists("web"), w.manager.calls)
		}
	}
	// It is found out before anything is removed.
	old := w.made("web", nil)
	c := w.asked("web")
	c.CIDFile, c.Replace = path, true
	if _, err := w.Create(context.Background(), c, nil); err == nil || !w.exists(old.ID) {
		t.Errorf("create: %v; the old one is there: %t", err, w.exists(old.ID))
	}
	for _, c.Detach = range []bool{true, false} {
		if _, _, err := w.Run(context.Background(), c, nil); err == nil || !w.exists(old.ID) {
			t.Errorf("run, detached %t: %v; the old one is there: %t", c.Detach, err, w.exists(old.ID))
		}
	}
	c = w.asked("new")
	c.CIDFile = path + "/no/such/directory"
	if _, err := w.Create(context.Background(), c, nil); err == nil || w.exists("new") {
		t.Errorf("where no file can be: %v; it is there: %t", err, w.exists("new"))
	}
	if _, err := w.CreatePod(context.Background(), spec.Pod{Name: "media", PodIDFile: path}, nil); err == nil {
		t.Error("a pod is made")
	}
	if _, err := w.Pods.Lookup("media"); err == nil {
		t.Error("the pod is there")
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "other" {
		t.Errorf("the file has %q, %v", text, err)
	}
}

func TestContainersByTheirServices(t *testing.T) {
	w := newWorld(t)
	r := w.made("systemd-web", func(r *container.Record) { r.Unit = "web.service" })
	other := w.made("db", nil)
	w.status(other, container.Status{Unit: "store.service"})
	for name, want := range map[string]string{"web": r.ID, "web.service": r.ID, "systemd-web": r.ID, "store": other.ID, "db": other.ID} {
		if got, err := w.Find(name); err != nil || got.ID != want {
			t.Errorf("%s: %s, %v", name, got.Name, err)
		}
	}
	named := w.made("web", nil)
	if got, err := w.Find("web"); err != nil || got.ID != named.ID {
		t.Errorf("a name comes first: %s, %v", got.Name, err)
	}
	if _, err := w.Find("nosuch"); !errors.Is(err, container.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	w.made("three", func(r *container.Record) { r.Unit = "job.service" })
	w.made("four", func(r *container.Record) { r.Unit = "job.service" })
	if _, err := w.Find("job"); !errors.Is(err, container.ErrAmbiguous) || !strings.Contains(err.Error(), "three, four") {
		t.Errorf("got %v", err)
	}
	p, err := w.Pods.Create(context.Background(), spec.Pod{Name: "systemd-media"}, "media-pod.service", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"media", "media-pod", "media-pod.service", "systemd-media"} {
		if got, err := w.FindPod(name); err != nil || got.ID != p.ID {
			t.Errorf("pod %s: %s, %v", name, got.Name, err)
		}
	}
	for word, want := range map[string]string{"store": "db", "systemd-media": "systemd-media", "media": "systemd-media", "web": "web", "nosuch": "nosuch"} {
		if got, err := w.NameOf(word); err != nil || got != want {
			t.Errorf("%s is the name of %s, %v, want %s", word, got, err, want)
		}
	}
	if got, err := w.NameOf("job"); !errors.Is(err, container.ErrAmbiguous) {
		t.Errorf("two are of job.service: %s, %v", got, err)
	}
	if _, err := w.Pods.Create(context.Background(), spec.Pod{Name: "jobs"}, "job.service", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := w.NameOf("job"); err != nil || got != "jobs" {
		t.Errorf("two and their pod are of job.service: %s, %v", got, err)
	}
	if _, err := w.Pods.Create(context.Background(), spec.Pod{Name: "store"}, "", nil); err != nil {
		t.Fatal(err)
	}
	if got, err := w.NameOf("store"); err != nil || got != "store" {
		t.Errorf("the name of a pod comes before that of a service: %s, %v", got, err)
	}
}

// TestNamespacesByService: who joins the container of a service by the service's name depends on
// it, whatever the command line calls it.
func TestNamespacesByService(t *testing.T) {
	w := newWorld(t)
	vpn := w.made("systemd-vpn", func(r *container.Record) { r.Unit = "vpn.service" })
	c := w.asked("app")
	c.Networks = []spec.Network{{Mode: spec.NetContainer, Name: "vpn"}}
	c.PIDNS = spec.Namespace{Mode: "container", Container: "vpn.service"}
	c.IPCNS = spec.Namespace{Mode: "container", Container: vpn.ID[:12]}
	c.VolumesFrom = []spec.VolumesFrom{{Container: "vpn"}}
	r, err := w.Create(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Spec
	if s.Networks[0].Name != "systemd-vpn" || s.PIDNS.Container != "systemd-vpn" || s.IPCNS.Container != vpn.ID[:12] || s.VolumesFrom[0].Container != "systemd-vpn" {
		t.Errorf("%+v %+v %+v %+v", s.Networks, s.PIDNS, s.IPCNS, s.VolumesFrom)
	}
	if err := w.needed(vpn); !errors.As(err, new(DependentsError)) {
		t.Errorf("it may be removed: %v", err)
	}
	if len(w.warnings) != 2 || !strings.Contains(w.warnings[0], "there is no container vpn: systemd-vpn is joined, that of vpn.service") {
		t.Errorf("twice somebody else could be meant: %q", w.warnings)
	}
	p, err := w.CreatePod(context.Background(), spec.Pod{
		Name: "box", Infra: true, Networking: spec.Networking{Networks: []spec.Network{{Mode: spec.NetContainer, Name: "vpn"}}}, VolumesFrom: []spec.VolumesFrom{{Container: "vpn"}},
	}, nil)
	if err != nil || p.Spec.Networks[0].Name != "systemd-vpn" || p.Spec.VolumesFrom[0].Container != "systemd-vpn" {
		t.Errorf("a pod: %v, %+v, %+v", err, p.Spec.Networks, p.Spec.VolumesFrom)
	}
	w.made("second", func(r *container.Record) { r.Unit = "vpn.service" })
	c = w.asked("other")
	c.PIDNS = spec.Namespace{Mode: "container", Container: "vpn"}
	if _, err := w.Create(context.Background(), c, nil); !errors.Is(err, container.ErrAmbiguous) {
		t.Errorf("two are of vpn.service: %v", err)
	}
}
