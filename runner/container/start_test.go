// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/network/netavark/netavarktest"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"go.podman.io/storage"
)

// nowhere is a storage in which there is nothing.
type nowhere struct {
	storage.Store
	root string
}

func (n nowhere) GraphRoot() string { return n.root }

func (n nowhere) RunRoot() string { return filepath.Join(n.root, "run") }

func (nowhere) GraphDriverName() string { return "overlay" }

func (nowhere) Container(string) (*storage.Container, error) { return nil, storage.ErrContainerUnknown }

func (nowhere) ContainerDirectory(string) (string, error) { return "", storage.ErrContainerUnknown }

func (nowhere) Containers() ([]storage.Container, error) { return nil, nil }

func (nowhere) DeleteLayer(string) error { return storage.ErrLayerUnknown }

// TestANetworkThatTakesLong is that of a container in the making: nobody sweeps it away.
func TestANetworkThatTakesLong(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	r := Record{ID: NewID(), Name: "web"}
	refused := errors.New("no network")
	begun := false
	_, err := e.Start(context.Background(), Launch{
		Record: &r, New: true, Foreground: &runc.Streams{},
		Network: &network.Request{Network: spec.Network{Mode: spec.NetPasta}, Online: func(ctx context.Context) error {
			begun = true
			if _, err := os.Stat(e.marker(r.ID)); err != nil {
				t.Errorf("killed now, it would leave what nobody knows of: %v", err)
			}
			if err := e.SweepOrphans(ctx); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(e.Dir(r.ID)); err != nil {
				t.Errorf("it has no directory: %v", err)
			}
			return refused
		}},
	})
	if !begun || !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	for _, path := range []string{e.marker(r.ID), e.Dir(r.ID), e.namePath(r.Name), e.lockPath(r.ID)} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// TestSweepOrphans removes what a killed start has left, whatever its age.
func TestSweepOrphans(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	r := Record{ID: NewID(), Name: "web"}
	if err := e.mark(&r); err != nil {
		t.Fatal(err)
	}
	if err := e.SweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{e.marker(r.ID), e.Dir(r.ID), filepath.Join(e.RunDir, "lock", r.ID)} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

// known is a storage that knows every container.
type known struct{ nowhere }

func (known) Container(string) (*storage.Container, error) {
	return &storage.Container{Metadata: BootID()}, nil
}

// TestSweepOfAnotherStorage: with the runtime directory, two storages share the locks. What a lock
// alone tells of may be a container of the other one.
func TestSweepOfAnotherStorage(t *testing.T) {
	ours := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	other := &Engine{RunDir: ours.RunDir, Store: nowhere{root: t.TempDir()}}
	r := Record{ID: NewID(), Name: "web"}
	leave := func() { // as one that is killed once the container is made
		lock, err := ours.takeLock(context.Background(), r.ID)
		if err == nil {
			err = ours.mark(&r)
		}
		if err != nil {
			t.Fatal(err)
		}
		lock.Release()
	}
	gone := func(who string) {
		if _, err := os.Stat(ours.lockPath(r.ID)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s leaves the lock of one that is dead: %v", who, err)
		}
		for _, path := range []string{ours.marker(r.ID), ours.Dir(r.ID)} {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", who, err)
			}
		}
	}
	leave()
	if err := other.SweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	gone("the other storage")
	leave()
	ours.Store = known{ours.Store.(nowhere)}
	if err := ours.SweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	gone("its own storage")
}

// TestSweepNames removes what a killed removal has left of a name, unless somebody is making a
// container of that name, or another storage has one, and the locks of other things that nobody
// holds.
func TestSweepNames(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	var locks []*Lock
	for _, name := range []string{"web", "busy", "other"} {
		lock, err := e.takeLock(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Release()
		id := NewID()
		if err := e.mark(&Record{ID: id, Name: name}); err != nil {
			t.Fatal(err)
		}
		if name != "other" { // a killed removal has removed it before
			if err := os.RemoveAll(e.dir(id)); err != nil {
				t.Fatal(err)
			}
		}
		locks = append(locks, lock)
	}
	locks[0].Release()
	locks[2].Release()
	for _, name := range []string{"pod p", "hand@web", "hand@busy"} {
		lock, err := e.takeLock(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		if name != "hand@busy" {
			lock.Release()
		}
		defer lock.Release()
	}
	if err := e.SweepNames(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"pod p": false, "hand@web": false, "hand@busy": true} {
		if _, err := os.Stat(e.lockPath(name)); (err == nil) != want {
			t.Errorf("lock %s: got %v, want that it stays: %v", name, err, want)
		}
	}
	for name, want := range map[string]bool{"web": false, "busy": true, "other": true} {
		for _, path := range []string{e.namePath(name), e.lockPath(name)} {
			if _, err := os.Stat(path); (err == nil) != want {
				t.Errorf("%s: got %v, want that it stays: %v", path, err, want)
			}
		}
	}
}

// attached is a container whose runtime is a shell script; $PID is where it tells the process.
func attached(t *testing.T, script string) (*Engine, *Record) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runc")
	text := "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in --pid-file) PID=$2 ;; esac; shift; done\n" + script
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{}, Runtime: runc.Runtime{Command: path, Root: t.TempDir()}}
	r := &Record{ID: NewID(), Name: "web"}
	if err := os.MkdirAll(e.Dir(r.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	return e, r
}

// run runs the container and returns how it ended.
func run(ctx context.Context, e *Engine, l Launch) (code int, err error) {
	l.Foreground = &runc.Streams{}
	s := &start{ask: l, adding: adding{Engine: e, record: l.Record}}
	err = s.run(ctx)
	return s.code, err
}

func TestAnAttachedContainerThatIsNotReadyIsKilled(t *testing.T) {
	e, r := attached(t, "sleep 600 & echo $! >$PID; wait $!")
	givenUp := errors.New("given up")
	begun := time.Now()
	_, err := run(context.Background(), e, Launch{Record: r, Ready: func(Status, func() error) error { return givenUp }})
	if !errors.Is(err, givenUp) || time.Since(begun) > time.Minute {
		t.Errorf("got %v after %s", err, time.Since(begun))
	}
}

func TestAnAttachedContainerMayBeRemovedWhenItEnds(t *testing.T) {
	e, r := attached(t, "echo $$ >$PID; exit 7")
	code, err := run(context.Background(), e, Launch{Record: r})
	if code != 7 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

// TestAnAttachedContainerIsConnectedAgain: the namespace of a user's networks is lost, and made
// again, when a container is connected and has no process yet, so that whoever makes it again does
// not see the container.
func TestAnAttachedContainerIsConnectedAgain(t *testing.T) {
	named := netavarktest.New(t)
	e, r := attached(t, named.ToLose()+"; echo $$ >$PID; exit 7")
	n, err := network.Start(t.Context(), network.Request{
		Network: spec.Network{Mode: spec.NetBridge}, Dir: e.Dir(r.ID), Files: e.Dir(r.ID), Config: named.Config,
		Bridge: &network.Bridge{Store: named.Store, Connection: named.Connection(r.ID), Servers: named.Servers()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if _, err := n.Wait(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	s := &start{ask: Launch{Record: r, Foreground: &runc.Streams{}}, adding: adding{Engine: e, record: r}, network: n}
	if err := s.run(t.Context()); err != nil || s.code != 7 {
		t.Fatalf("got %d, %v", s.code, err)
	}
	if got := named.Setups(); got != 2 {
		t.Errorf("connected %d times, want twice", got)
	}
}

func TestTheStatusOfADeadRuntimeIsNotTheContainers(t *testing.T) {
	e, r := attached(t, "kill -KILL $$")
	if code, err := run(context.Background(), e, Launch{Record: r}); err == nil {
		t.Errorf("got status %d and no error", code)
	}
}

func TestAnAttachedStartThatIsGivenUpHasNoStatus(t *testing.T) {
	e, r := attached(t, "kill -INT $$")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := run(ctx, e, Launch{Record: r})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// runs notes the status of a container.
func runs(t *testing.T, e *Engine, r Record, s Status) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(e.dir(r.ID), 0o700), e.saveStatus(r.ID, s)); err != nil {
		t.Fatal(err)
	}
}

// TestWhoJoinsTheHostsNamespaces is not made to enter them: a user may not.
func TestWhoJoinsTheHostsNamespaces(t *testing.T) {
	own, e := Record{ID: NewID()}, &Engine{Store: nowhere{root: t.TempDir()}, RunDir: t.TempDir()}
	runs(t, e, own, Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())})
	join := spec.Namespace{Mode: "container", Container: "other"}
	r := Record{Spec: spec.Container{PIDNS: join, IPCNS: join, UTSNS: join, CgroupNS: join}}
	s := &start{ask: Launch{Record: &r, Peers: Peers{"pid": own, "ipc": own, "uts": own, "cgroup": own}}, adding: adding{Engine: e}}
	got, err := s.namespaces(context.Background())
	want := bundle.Namespaces{PID: bundle.HostNS, IPC: bundle.HostNS, UTS: bundle.HostNS, Cgroup: bundle.HostNS}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestWhoJoinsWhatHasEnded since it was found does not join whatever has its process ID by now, and
// what nobody has found is not the host's.
func TestWhoJoinsWhatHasEnded(t *testing.T) {
	e := &Engine{Store: nowhere{root: t.TempDir()}, RunDir: t.TempDir()}
	reused, never := Record{ID: NewID(), Name: "other"}, Record{ID: NewID(), Name: "other"}
	runs(t, e, reused, Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid()) + 1})
	join := spec.Namespace{Mode: "container", Container: "other"}
	for flag, c := range map[string]struct {
		kind string
		spec spec.Container
	}{
		"--pid":      {"pid", spec.Container{PIDNS: join}},
		"--ipc":      {"ipc", spec.Container{IPCNS: join}},
		"--uts":      {"uts", spec.Container{UTSNS: join}},
		"--cgroupns": {"cgroup", spec.Container{CgroupNS: join}},
		"--userns":   {"user", spec.Container{IDMapping: spec.IDMapping{UserNS: spec.UserNS{Mode: spec.UserContainer, From: join}}}},
	} {
		for name, peers := range map[string]Peers{"reused": {c.kind: reused}, "never": {c.kind: never}, "none": nil} {
			want := ErrNotRunning
			if peers == nil {
				want = ErrNotFound
			}
			r := Record{ID: NewID(), Name: "app", Spec: c.spec}
			s := &start{ask: Launch{Record: &r, Peers: peers}, adding: adding{Engine: e}}
			if n, err := s.namespaces(context.Background()); !errors.Is(err, want) || !strings.HasPrefix(err.Error(), flag+" container:other: ") {
				t.Errorf("%s, %s: %+v, %v", flag, name, n, err)
			}
		}
	}
	r := Record{ID: NewID(), Name: "app", Spec: spec.Container{IDMapping: spec.IDMapping{UserNS: spec.UserNS{Mode: spec.UserContainer, From: join}}}}
	if err := e.Create(context.Background(), &r, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a new one with a user namespace that nobody has found: %v", err)
	}
}

// TestWhoJoinsWhatHasRestarted since it was found, or comes up only now, joins what runs at the join.
func TestWhoJoinsWhatHasRestarted(t *testing.T) {
	e := &Engine{Store: nowhere{root: t.TempDir()}, RunDir: t.TempDir()}
	other := Record{ID: NewID(), Name: "other"}
	r := Record{ID: NewID(), Spec: spec.Container{PIDNS: spec.Namespace{Mode: "container", Container: "other"}}}
	s := &start{ask: Launch{Record: &r, Peers: Peers{"pid": other}}, adding: adding{Engine: e}}
	if _, err := s.namespaces(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("before it runs: %v", err)
	}
	for range 2 {
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		runs(t, e, other, Status{PID: cmd.Process.Pid, StartTicks: process.StartTicks(cmd.Process.Pid)})
		if path, err := s.joined("pid"); err != nil || path != process.Namespace(cmd.Process.Pid, "pid") {
			t.Errorf("%s, %v, want that of %d", path, err, cmd.Process.Pid)
		}
		if _, err := s.namespaces(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestWhoJoinsANetworkThatHasEnded since it was looked at does not join whatever has its process ID
// by now, nor the next one of that container, whose addresses nobody has looked at.
func TestWhoJoinsANetworkThatHasEnded(t *testing.T) {
	e := &Engine{Store: nowhere{root: t.TempDir()}, RunDir: t.TempDir()}
	other := Record{ID: NewID(), Name: "other"}
	s := &start{ask: Launch{Record: &Record{ID: NewID()}}, adding: adding{Engine: e}, network: &network.Network{}}
	if _, err := s.namespaces(t.Context()); err != nil {
		t.Errorf("who joins nobody's: %v", err)
	}
	s.ask.Peers = Peers{"net": other}
	for name, status := range map[string]Status{
		"reused": {PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid()) + 1},
		"next":   {PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())},
	} {
		runs(t, e, other, status)
		if _, err := s.namespaces(t.Context()); !errors.Is(err, ErrNotRunning) || !strings.HasPrefix(err.Error(), "--network container:other: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhoJoinsAPodThatHasEnded since it was found does not join whatever has the process ID of the
// infra process by now.
func TestWhoJoinsAPodThatHasEnded(t *testing.T) {
	for _, kind := range []string{"pid", "ipc", "uts", "net"} {
		j := &Join{Pod: "media", PID: os.Getpid(), Ticks: process.StartTicks(os.Getpid()), Share: []string{kind}}
		s := &start{ask: Launch{Record: &Record{ID: NewID()}, Join: j}}
		if _, err := s.namespaces(t.Context()); err != nil {
			t.Errorf("%s of one that runs: %v", kind, err)
		}
		j.Ticks++
		if n, err := s.namespaces(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "pod media has ended") {
			t.Errorf("%s: %+v, %v", kind, n, err)
		}
		j.Share = nil
		if _, err := s.namespaces(t.Context()); err != nil {
			t.Errorf("%s, which it does not share: %v", kind, err)
		}
	}
}

// TestWhoEndsWhileItIsJoined: the runtime has opened namespaces by the number of a process, which may
// have been another one's by then. The container does not begin.
func TestWhoEndsWhileItIsJoined(t *testing.T) {
	begun := func() (*start, *exec.Cmd, *Join) {
		e := &Engine{Store: nowhere{root: t.TempDir()}, RunDir: t.TempDir()}
		r, theirs := Record{ID: NewID()}, Record{ID: NewID(), Name: "other"}
		if err := e.makeDirs(r.ID); err != nil {
			t.Fatal(err)
		}
		sleep := exec.Command("sleep", "1000")
		if err := sleep.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
		status := Status{PID: sleep.Process.Pid, StartTicks: process.StartTicks(sleep.Process.Pid)}
		runs(t, e, theirs, status)
		s := &start{ask: Launch{Record: &r, Peers: Peers{"pid": theirs}}, adding: adding{Engine: e}}
		return s, sleep, &Join{Pod: "media", PID: status.PID, Ticks: status.StartTicks, Share: []string{"pid"}}
	}
	for _, c := range []struct {
		joins, ends bool
		share       []string // what the pod shares; nil where there is none
		want        string
	}{
		{joins: true}, {ends: true}, {share: []string{"pid"}},
		{joins: true, ends: true, want: "container other, whose namespaces are joined: container is not running any more; start it first"},
		{share: []string{"pid"}, ends: true, want: "pod media has ended meanwhile; start it first"},
		{share: []string{}, ends: true},
	} {
		s, sleep, pod := begun()
		if c.share != nil {
			s.ask.Join, pod.Share = pod, c.share
		}
		if c.joins {
			if _, err := s.joined("pid"); err != nil {
				t.Fatal(err)
			}
		}
		if c.ends {
			_ = sleep.Process.Kill()
			_ = sleep.Wait() // it was killed
		}
		if err := s.began(os.Getpid()); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// several is a storage with some containers, by ID.
type several struct {
	nowhere
	records map[string]Record
}

func (s several) metadata(r Record) *storage.Container {
	r.Podunit = recordVersion
	b, _ := json.Marshal(r) // a record is text
	return &storage.Container{ID: r.ID, Names: []string{r.Name}, Metadata: string(b)}
}

func (s several) Container(nameOrID string) (*storage.Container, error) {
	for _, r := range s.records {
		if r.ID == nameOrID || r.Name == nameOrID {
			return s.metadata(r), nil
		}
	}
	return nil, storage.ErrContainerUnknown
}

func (s several) Containers() (all []storage.Container, err error) {
	for _, r := range s.records {
		all = append(all, *s.metadata(r))
	}
	return all, nil
}

func (s several) DeleteContainer(id string) error {
	delete(s.records, id)
	return nil
}

// TestSweepOfTheOwnUnit removes what the unit had under another name, and tells what other units
// have left.
func TestSweepOfTheOwnUnit(t *testing.T) {
	store := several{nowhere{root: t.TempDir()}, map[string]Record{}}
	e := &Engine{RunDir: t.TempDir(), Store: store, Unit: "ren.service"}
	add := func(name, unit string, remove bool, s Status) {
		r := Record{ID: NewID(), Name: name, Unit: unit, BootID: BootID(), Spec: spec.Container{Remove: remove}}
		if err := errors.Join(e.mark(&r), e.saveStatus(r.ID, s)); err != nil {
			t.Fatal(err)
		}
		store.records[r.ID] = r
	}
	ended, runs := Status{PID: os.Getpid(), StartTicks: 1}, Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())}
	add("renamed", "ren.service", true, ended)
	add("kept", "ren.service", false, ended)
	add("runs", "ren.service", true, runs)
	add("busy", "ren.service", true, Status{})
	add("withdrawn", "gone.service", true, ended)
	add("elsewhere", "other.service", true, runs)
	add("by hand", "", true, ended)
	lock, err := e.takeLock(context.Background(), "busy")
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if err := e.SweepOrphans(context.Background()); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, r := range store.records {
		left = append(left, r.Name)
	}
	slices.Sort(left)
	if want := []string{"busy", "by hand", "elsewhere", "kept", "runs", "withdrawn"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
	if f, err := e.Forsaken(); err != nil || len(f) != 1 || f[0].Name != "withdrawn" {
		t.Errorf("forsaken: %+v, %v", f, err)
	}
}

// BenchmarkSweepOrphans is what each start does where a hundred others run.
func BenchmarkSweepOrphans(b *testing.B) {
	store := several{nowhere{root: b.TempDir()}, map[string]Record{}}
	e := &Engine{RunDir: b.TempDir(), Store: store, Unit: "web.service"}
	for range 100 {
		r := Record{ID: NewID(), Unit: "other.service", BootID: BootID(), Spec: spec.Container{Remove: true}}
		r.Name = r.ID
		if err := e.mark(&r); err != nil {
			b.Fatal(err)
		}
		store.records[r.ID] = r
	}
	written := writtenOnce{several: store, all: map[string]*storage.Container{}}
	for id, r := range store.records {
		written.all[id] = store.metadata(r)
	}
	e.Store = written
	for b.Loop() {
		if err := e.SweepOrphans(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// writtenOnce does not encode its records again each time that somebody asks.
type writtenOnce struct {
	several
	all map[string]*storage.Container
}

func (w writtenOnce) Container(id string) (*storage.Container, error) {
	if c := w.all[id]; c != nil {
		return c, nil
	}
	return nil, storage.ErrContainerUnknown
}
