// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network/netavark"
	"github.com/podunit/podunit/runner/network/netavark/netavarktest"
	"github.com/podunit/podunit/runner/notify"
	"github.com/podunit/podunit/runner/pod"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/unit"
)

// TestOnlyTheirUnits: outside of their units, the verbs that make the namespace or serve names are
// refused and take away nothing that others use.
func TestOnlyTheirUnits(t *testing.T) {
	for _, name := range []string{"", "web.service", DNSUnit, NamespaceUnit} {
		w := newWorld(t)
		w.User.UID = 1000
		if name != "" {
			w.inService(name)
		}
		shared, pids := w.sharedDir(), filepath.Join(w.Networks().Run, "aardvark-dns", "aardvark.pid")
		if err := errors.Join(os.MkdirAll(shared, 0o700), os.MkdirAll(filepath.Dir(pids), 0o700), os.WriteFile(pids, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		for own, uid := range map[string]int{NamespaceUnit: 1000, DNSUnit: 0} {
			if name == own {
				continue
			}
			w.User.UID = uid
			do, systemctl := w.HoldNetworks, "systemctl --user"
			if uid == 0 {
				do, systemctl = w.ServeNames, "systemctl"
			}
			if err := do(t.Context()); err == nil || err.Error() != "this is the work of "+own || hint.Of(err) != systemctl+" start "+own {
				t.Errorf("%s in %q: %v (%s)", own, name, err, hint.Of(err))
			}
		}
		w.User.UID = 1000
		if err := w.ServeNames(t.Context()); err == nil || hint.Of(err) != "systemctl --user restart "+NamespaceUnit {
			t.Errorf("a user's names: %v", err)
		}
		if _, err := os.Stat(pids); err != nil {
			t.Error(err)
		}
	}
}

// TestAgain: a unit of the networks whose start fails is started again only while a container needs
// it, and less and less often.
func TestAgain(t *testing.T) {
	w := newWorld(t)
	w.inService(DNSUnit) // root's
	fault := errors.New("no pasta")
	var once OnlyOnce
	if err := w.again(t.Context(), fault); !errors.As(err, &once) || !errors.Is(err, fault) || err.Error() != "no pasta" {
		t.Errorf("with nobody: %v", err)
	}
	if err := w.again(t.Context(), nil); err != nil {
		t.Errorf("without a fault: %v", err)
	}
	// The name server's unit is restarted all the same, so it waits with nobody as well.
	w.manager.set(DNSUnit, unit.Properties{LoadState: "loaded", Restarts: 5})
	if began := time.Now(); !errors.As(w.again(t.Context(), fault), &once) || time.Since(began) < pauseAfter(5) {
		t.Errorf("with nobody, it waited %v", time.Since(began))
	}
	r := w.made("web", func(r *container.Record) {
		r.Spec.Networking = spec.Networking{Networks: []spec.Network{{Mode: spec.NetNamed, Name: "front"}}}
	})
	w.running(r, "web.service")
	w.manager.set(DNSUnit, unit.Properties{LoadState: "loaded", Restarts: 1})
	if err := w.again(t.Context(), fault); errors.As(err, &once) || !errors.Is(err, fault) {
		t.Errorf("with somebody: %v", err)
	}
	var pauses []time.Duration
	for _, n := range []int{0, 2, 3, 4, 8, 9, 10, 1 << 20} {
		pauses = append(pauses, pauseAfter(n))
	}
	if want := []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 3200 * time.Millisecond, 6400 * time.Millisecond, 10 * time.Second, 10 * time.Second}; !slices.Equal(pauses, want) {
		t.Errorf("it waits %v, want %v", pauses, want)
	}
}

// TestReloadFindsByName: network reload takes the names that every verb takes, and of a name that
// is also the beginning of an ID the one that has it.
func TestReloadFindsByName(t *testing.T) {
	w := newWorld(t)
	w.User.UID = 1000 // whose networks are in the storage
	if _, err := w.Networks().Create(t.Context(), netavark.New{Name: "front"}); err != nil {
		t.Fatal(err)
	}
	on := spec.Networking{Networks: []spec.Network{{Mode: spec.NetNamed, Name: "front"}}}
	one := func(name, begin string, runs bool) string {
		r := w.made(name, func(r *container.Record) {
			r.ID, r.Spec.Networking = begin+strings.Repeat("0", 64-len(begin)), on
		})
		if runs {
			w.running(r, name+".service")
		}
		return r.ID
	}
	web, bee, shop := one("web", "bee1", true), one("bee", "a1", true), one("systemd-shop", "cafe1", true)
	cafe2, off := one("two", "cafe2", true), one("off", "d1", false)
	p, err := w.CreatePod(t.Context(), spec.Pod{Name: "d", Networking: on}, nil)
	if err != nil {
		t.Fatal(err)
	}
	infra := w.running(container.Record{ID: "../pods/" + p.ID}, "") // a pod's status is much like a container's
	status := pod.Status{InfraPID: infra.Process.Pid, StartTicks: process.StartTicks(infra.Process.Pid)}
	if err := container.WriteJSON(w.Pods.Dir(p.ID)+"/status.json", status); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"web": web, "bee": bee, "bee1": web, web: web, "d": p.ID, p.ID: p.ID, p.ID[:12]: p.ID, "systemd-shop.service": shop, "cafe2": cafe2,
	} {
		if got, err := w.ReloadNetworks(t.Context(), []string{name}); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	got, err := w.ReloadNetworks(t.Context(), []string{"cafe", "nobody", "off", "web"})
	if !errors.Is(err, container.ErrAmbiguous) || !errors.Is(err, container.ErrNotFound) || !strings.Contains(err.Error(), "off is no container that runs") || !slices.Equal(got, []string{web}) {
		t.Errorf("%q, %v", got, err)
	}
	got, err = w.ReloadNetworks(t.Context(), nil)
	if err != nil || len(got) != 5 || slices.Contains(got, off) {
		t.Errorf("all: %q, %v", got, err)
	}
}

// lostNetwork is a world in the unit of the namespace, with what the manager is told, and a network
// to which connect connects a container that runs.
func lostNetwork(t *testing.T) (w *world, told *net.UnixConn, n *netavarktest.Network, connect func(name string) container.Record) {
	t.Helper()
	n, w = netavarktest.New(t), newWorld(t)
	told = w.inService(NamespaceUnit)
	w.User.UID = 1000
	n.Store.Records = w.Networks().Records
	return w, told, n, func(name string) container.Record {
		t.Helper()
		r := w.made(name, func(r *container.Record) {
			r.Spec.Networking = spec.Networking{Networks: []spec.Network{{Mode: spec.NetNamed, Name: "a"}}}
		})
		cmd := w.runningAs(r, name+".service", "unshare", "--net", "sleep", "600")
		here, _ := os.Readlink("/proc/self/ns/net")
		path := process.Namespace(cmd.Process.Pid, "net")
		for there := here; there == here || there == ""; time.Sleep(time.Millisecond) {
			there, _ = os.Readlink(path)
		}
		ns, err := netns.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		c, err := n.Store.Prepare(n.Connection(r.ID))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(t.Context(), w.Containers.Dir(r.ID), ns, n.Servers()); err != nil {
			t.Fatal(err)
		}
		return r
	}
}

// read returns the messages that the manager has been sent, each in one line.
func read(t *testing.T, told *net.UnixConn) (all []string) {
	t.Helper()
	for data := make([]byte, 1000); ; {
		if err := told.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := told.Read(data)
		if err != nil {
			return all
		}
		all = append(all, strings.Join(strings.Fields(string(data[:n])), " "))
	}
}

// TestReconnectGoesOn: where netavark hangs for some containers, with a program that it has started,
// the others are connected before anybody waits for long, and those who hang wait together. The
// manager is asked for time for each.
func TestReconnectGoesOn(t *testing.T) {
	w, told, n, connect := lostNetwork(t)
	var stuck []string
	for _, name := range []string{"s1", "one", "s2", "late", "two"} {
		r := connect(name)
		if name != "one" && name != "two" {
			stuck = append(stuck, r.ID)
		}
	}
	n.Lose()
	netavark, err := n.Store.Program("netavark")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(netavark)
	if err != nil {
		t.Fatal(err)
	}
	// The third hangs once.
	at := t.TempDir()
	hangs := fmt.Sprintf(`#!/bin/sh
cd %s
in=$(/bin/cat)
case $in in *%s*|*%s*) says=hangs ;; *%s*) [ -e late ] || says=hangs; : >late ;; esac
case "$*" in *setup*) echo $says >>order ;; esac
[ -z "$says" ] || { /bin/sleep 600 & echo $! >>hung; wait; }
`, at, stuck[0], stuck[1], stuck[2])
	if err := safe.Replace(netavark, append([]byte(hangs), script...), 0o755); err != nil {
		t.Fatal(err)
	}
	w.reconnect(t.Context(), w.takeNotify(), 3*time.Second, 8*time.Second)
	order, err := os.ReadFile(filepath.Join(at, "order"))
	if got := strings.Split(string(order), "\n"); err != nil {
		t.Error(err)
	} else if want := []string{"hangs", "", "hangs", "hangs", "", "hangs", "hangs", "", ""}; !slices.Equal(got, want) {
		t.Errorf("netavark is called %q, want %q", got, want)
	}
	data, err := os.ReadFile(filepath.Join(at, "hung"))
	if err != nil {
		t.Error(err)
	}
	for _, word := range strings.Fields(string(data)) {
		if pid, err := strconv.Atoi(word); err != nil || !process.HasEnded(pid) {
			t.Errorf("what netavark has started goes on: %s, %v", word, err)
		}
	}
	const again = "; systemctl --user restart podunit-netns.service tries again"
	want := []string{"connect " + stuck[0] + " again: netavark setup: it takes more than 4s" + again, "connect " + stuck[1] + " again: netavark setup: it takes more than "}
	if len(w.warnings) != 2 || w.warnings[0] != want[0] || !strings.HasPrefix(w.warnings[1], want[1]) || strings.HasSuffix(w.warnings[1], " 4s"+again) {
		t.Errorf("warnings %q, want %q and less time", w.warnings, want)
	}
	if got := n.Setups(); got != 8 {
		t.Errorf("%d setups, want 5 and then 3", got)
	}
	got, first := read(t, told), notify.ExtendTimeout(8*time.Second+reconnectMore)
	if len(got) != 8 || !slices.Equal(got[:6], slices.Repeat([]string{first}, 6)) || slices.Contains(got[6:], first) {
		t.Errorf("the manager is told %q", got)
	}
}

// TestNamespaceUnitStartsNotItself: the unit of the namespace does not wait for itself, and is not
// up with a process that has ended.
func TestNamespaceUnitStartsNotItself(t *testing.T) {
	w := newWorld(t)
	w.User.UID = 1000
	told := w.inService(NamespaceUnit)
	if err := w.servers().Start(t.Context(), NamespaceUnit); !errors.Is(err, errLost) || len(w.manager.calls) > 0 {
		t.Errorf("%v; the manager was asked for %q", err, w.manager.calls)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody would answer what the manager is told
	if err := isUp(ctx, w.takeNotify(), netavark.Shared{PID: ended.Process.Pid, Ticks: 1}); !errors.Is(err, errLost) {
		t.Errorf("with a process that has ended: %v", err)
	}
	if got := read(t, told); got != nil {
		t.Errorf("the manager is told %q", got)
	}
	w.inService("web.service")
	if err := w.servers().Start(t.Context(), NamespaceUnit); err != nil || !slices.Equal(w.manager.calls, []string{"start " + NamespaceUnit}) {
		t.Errorf("a container's unit: %v; the manager was asked for %q", err, w.manager.calls)
	}
}

// TestReconnectLooksAtThoseConnected: at the first start of a boot nobody was connected, and nobody
// is looked at. One container here cannot be looked at without a complaint.
func TestReconnectLooksAtThoseConnected(t *testing.T) {
	w, _, n, connect := lostNetwork(t)
	broken := w.made("broken", func(r *container.Record) {
		r.Spec.Networking = spec.Networking{Networks: []spec.Network{{Mode: spec.NetNamed, Name: "a"}}}
	})
	dir := w.Containers.Dir(broken.ID)
	if err := os.MkdirAll(filepath.Join(dir, "status.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	// It is about to be connected, as the container that has the namespace made.
	c, err := n.Store.Prepare(n.Connection(broken.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Begin(t.Context(), dir, n.Servers()); err != nil {
		t.Fatal(err)
	}
	w.reconnect(t.Context(), notify.Socket{}, time.Minute, time.Minute)
	if len(w.warnings) > 0 {
		t.Errorf("where nobody was connected: %q", w.warnings)
	}
	connect("one")
	n.Lose()
	w.reconnect(t.Context(), notify.Socket{}, time.Minute, time.Minute)
	if len(w.warnings) != 1 || !strings.HasPrefix(w.warnings[0], "containers on networks: ") || n.Setups() != 2 {
		t.Errorf("where one was: %q, %d setups", w.warnings, n.Setups())
	}
}

// TestHoldKeepsWhatItMakes: while the namespace is made, the record says so; here pasta looks, and
// fails. Afterwards the record is gone.
func TestHoldKeepsWhatItMakes(t *testing.T) {
	w, _, n, _ := lostNetwork(t)
	records, at := n.Store.Records, t.TempDir()
	look := "#!/bin/sh\ncase $1 in --version) echo pasta 0.0~20250503;; *) ls " + records + " >" + at + "/seen; exit 1;; esac\n"
	if err := errors.Join(os.MkdirAll(records, 0o700), safe.Replace(filepath.Join(at, "pasta"), []byte(look), 0o755)); err != nil {
		t.Fatal(err)
	}
	w.Containers.Config.Engine.HelperBinariesDir.Set([]string{at})
	var once OnlyOnce
	if err := w.HoldNetworks(t.Context()); !errors.As(err, &once) {
		t.Errorf("without pasta: %v", err)
	}
	if seen, err := os.ReadFile(filepath.Join(at, "seen")); err != nil || string(seen) != "netns\n" {
		t.Errorf("the records had %q, %v", seen, err)
	}
	if left, err := os.ReadDir(records); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestHoldWaitsAfterAnyFault: where the namespace cannot even be noted as one that is being made, the
// next start comes as late as after every other fault.
func TestHoldWaitsAfterAnyFault(t *testing.T) {
	w := newWorld(t)
	w.User.UID = 1000
	w.inService(NamespaceUnit)
	w.Own.User = true // whose manager says how often it was restarted
	w.manager.set(NamespaceUnit, unit.Properties{LoadState: "loaded", Restarts: 5})
	lock := w.Networks().LockFile
	if err := errors.Join(os.MkdirAll(filepath.Dir(lock), 0o700), os.Mkdir(lock, 0o700)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var once OnlyOnce
	err := w.HoldNetworks(t.Context())
	if took := time.Since(began); !errors.As(err, &once) || !strings.Contains(err.Error(), "lock of the networks") || took < pauseAfter(5) {
		t.Errorf("after %v: %v", took, err)
	}
}
