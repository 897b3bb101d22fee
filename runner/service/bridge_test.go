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

// TestReconnectInTurn: who hangs lets the others go first, and all who hang share the time of the
// second turns. Who waits for the lock of the networks uses up nobody's time.
func TestReconnectInTurn(t *testing.T) {
	const turn, limit = 2 * time.Second, 10 * time.Second
	slow, locked, broken := error(netavark.SlowError{}), error(netavark.LockedError{Wait: time.Minute}), errors.New("netavark fails")
	for name, c := range map[string]struct {
		all  string
		says map[string][]error // what the first and the second turn of each end with
		want string             // the turns, and who is given up
	}{
		"all are well": {all: "a b", want: "a 2s, b 2s"},
		"one hangs once, and one fails": {all: "a b c", says: map[string][]error{"a": {slow}, "b": {broken}},
			want: "a 2s, b 2s, gave up netavark fails, c 2s, a 5s"},
		"four hang": {all: "a b c d e", says: map[string][]error{"a": {slow, slow}, "b": {slow, slow}, "d": {slow, slow}, "e": {slow, slow}},
			want: "a 2s, b 2s, c 2s, d 2s, e 2s, a 5s, gave up it takes more than 0s, b 2.5s, gave up it takes more than 0s, " +
				"d 2s, gave up it takes more than 0s, e 2s, gave up it takes more than 0s"},
		"who fails at once uses up no time": {all: "a b", says: map[string][]error{"a": {slow, broken}, "b": {slow}},
			want: "a 2s, b 2s, a 5s, gave up netavark fails, b 5s"},
		"the lock comes late": {all: "a b c d", says: map[string][]error{"a": {slow}, "b": {locked}},
			want: "a 2s, b 2s, a 5s, b 5s, c 5s, d 5s"},
		"the lock never comes": {all: "a b c", says: map[string][]error{"a": {locked, locked}},
			want: "a 2s, a 5s, gave up other processes have had the lock of the networks for 1m0s, " +
				"gave up 2 more are not connected again, for the same reason"},
		"nor for the last": {all: "a", says: map[string][]error{"a": {locked, locked}},
			want: "a 2s, a 5s, gave up other processes have had the lock of the networks for 1m0s"},
	} {
		var all []connected
		for _, id := range strings.Fields(c.all) {
			all = append(all, connected{id: id})
		}
		var got []string
		turns := map[string]int{}
		inTurn(all, turn, limit, func(one connected, turn time.Duration) error {
			got = append(got, fmt.Sprintf("%s %v", one.id, turn))
			n := turns[one.id]
			turns[one.id]++
			if says := c.says[one.id]; n < len(says) {
				return fmt.Errorf("%w", says[n])
			}
			return nil
		}, func(err error) { got = append(got, "gave up "+err.Error()) })
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s: %s\nwant %s", name, got, c.want)
		}
	}
}

// TestReconnectWaitsForTheLock: while others have the lock of the networks, nobody's time passes.
func TestReconnectWaitsForTheLock(t *testing.T) {
	w, told, n, connect := lostNetwork(t)
	for _, name := range []string{"one", "two", "three"} {
		connect(name)
	}
	n.Lose()
	taken, done := make(chan bool), make(chan error)
	go func() {
		done <- n.Store.WithNames(t.Context(), nil, func() error {
			close(taken)
			time.Sleep(100 * time.Millisecond) // far more than the limit
			return nil
		})
	}()
	<-taken
	w.reconnect(t.Context(), w.takeNotify(), time.Minute, time.Millisecond)
	if err := <-done; err != nil || len(w.warnings) > 0 || n.Setups() != 6 {
		t.Errorf("%v, %q, %d setups", err, w.warnings, n.Setups())
	}
	more := notify.ExtendTimeout(netavark.LockWait + time.Minute + reconnectMore)
	if got := read(t, told); !slices.Equal(got, slices.Repeat([]string{more}, 3)) {
		t.Errorf("the manager is told %q, want %q for each", got, more)
	}
}

// TestReconnectEndsWhatHangs: where netavark hangs, with a program that it has started, both end with
// the turn. The next turn connects the container.
func TestReconnectEndsWhatHangs(t *testing.T) {
	w, _, n, connect := lostNetwork(t)
	connect("late")
	n.Lose()
	path, err := n.Store.Program("netavark")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hung := filepath.Join(t.TempDir(), "hung")
	hangs := fmt.Sprintf("#!/bin/sh\n/bin/sleep 600 &\necho $! >%[1]s.new\n/bin/mv %[1]s.new %[1]s\nwait\n", hung)
	if err := safe.Replace(path, []byte(hangs), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := w.onNetworks()
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	var pid string
	for turn := 100 * time.Millisecond; pid == ""; turn *= 2 { // until it is long enough for netavark to begin
		if err := w.reconnectOne(t.Context(), notify.Socket{}, all[0], turn); !errors.As(err, &netavark.SlowError{}) {
			t.Fatal(err)
		}
		data, err := os.ReadFile(hung)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		pid = strings.TrimSpace(string(data))
	}
	sleep, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); !process.HasEnded(sleep); time.Sleep(time.Millisecond) { // it was killed just now
		if time.Since(began) > time.Minute {
			t.Fatalf("what netavark has started goes on: %d", sleep)
		}
	}
	if err := safe.Replace(path, script, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.reconnectOne(t.Context(), notify.Socket{}, all[0], time.Minute); err != nil || n.Setups() != 2 {
		t.Errorf("%v, %d setups", err, n.Setups())
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

// TestHoldKeepsWhatItMakes: while the namespace is made, a link says so, also where nobody was ever
// connected; here pasta looks, and fails. Afterwards the link is gone.
func TestHoldKeepsWhatItMakes(t *testing.T) {
	w, _, n, _ := lostNetwork(t)
	making, at := filepath.Join(filepath.Dir(n.Store.Records), "making"), t.TempDir()
	look := "#!/bin/sh\ncase $1 in --version) echo pasta 0.0~20250503;; *) readlink " + making + " >" + at + "/seen; exit 1;; esac\n"
	if err := safe.Replace(filepath.Join(at, "pasta"), []byte(look), 0o755); err != nil {
		t.Fatal(err)
	}
	w.Containers.Config.Engine.HelperBinariesDir.Set([]string{at})
	var once OnlyOnce
	if err := w.HoldNetworks(t.Context()); !errors.As(err, &once) {
		t.Errorf("without pasta: %v", err)
	}
	if seen, err := os.ReadFile(filepath.Join(at, "seen")); err != nil || string(seen) != fmt.Sprintf("/proc/%d/stat\n", os.Getpid()) {
		t.Errorf("the link led to %q, %v", seen, err)
	}
	if _, err := os.Lstat(making); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link is left: %v", err)
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
