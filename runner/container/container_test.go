// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"

	ispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

func TestPrepareMakesVolumesOfTheImageAnonymous(t *testing.T) {
	img := Image{ID: "f00", Config: ispec.ImageConfig{Volumes: map[string]struct{}{"/data": {}, "/config/": {}}}}
	asked := spec.Container{Mounts: []spec.Mount{
		{Type: spec.MountBind, Source: "/srv", Destination: "/config"},
		{Type: spec.MountVolume, Destination: "/scratch"},
	}}
	r := (&Engine{}).Prepare(asked, img, nil)
	if len(r.AnonymousVolumes) != 2 || len(r.Spec.Mounts) != 3 {
		t.Fatalf("anonymous %v, mounts %+v", r.AnonymousVolumes, r.Spec.Mounts)
	}
	for _, m := range r.Spec.Mounts {
		if m.Type == spec.MountVolume && len(m.Source) != 64 {
			t.Errorf("%s has the volume %q, not a name of its own", m.Destination, m.Source)
		}
	}
	if asked.Mounts[1].Source != "" {
		t.Error("what was asked for has been changed")
	}
	for mode, want := range map[string]int{"ignore": 0, "tmpfs": 0, "anonymous": 1} {
		img := Image{Config: ispec.ImageConfig{Volumes: map[string]struct{}{"/data": {}}}}
		r := (&Engine{}).Prepare(spec.Container{ImageVolumes: mode}, img, nil)
		if len(r.AnonymousVolumes) != want {
			t.Errorf("--image-volume %s: %d anonymous volumes", mode, len(r.AnonymousVolumes))
		}
	}
}

func TestARecordSurvivesTheStorage(t *testing.T) {
	r := (&Engine{}).Prepare(spec.Container{Name: "web", Remove: true}, Image{ID: "f00", Name: "localhost/x:1"}, []string{"podunit", "run"})
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	back, ok := decode(&storage.Container{ID: r.ID, Names: []string{"web"}, Metadata: string(b)})
	if !ok || back.ID != r.ID || back.Name != "web" || !back.Spec.Remove || back.ImageName != "localhost/x:1" || back.BootID != BootID() {
		t.Errorf("got %+v", back)
	}
	for _, foreign := range []string{"", `{"image-name":"docker.io/library/x"}`, `{"Podunit":`} {
		if _, ok := decode(&storage.Container{Metadata: foreign}); ok {
			t.Errorf("%q is taken for one of ours", foreign)
		}
	}
}

func TestARecordHasNoLogin(t *testing.T) {
	r := (&Engine{}).Prepare(spec.Container{Pull: spec.Pull{Creds: "me:hunter2"}}, Image{}, []string{"podunit", "run", "--creds", "me:hunter2", "x"})
	b, err := json.Marshal(r)
	if err != nil || strings.Contains(string(b), "hunter2") || !strings.Contains(string(b), "--creds") {
		t.Errorf("%s, %v", b, err)
	}
}

func TestALockIsHeldOnceAndOutlivesItsFile(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	lock, err := e.takeLock(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	if _, err := e.takeLock(short, "web"); !errors.Is(err, ErrBusy) {
		t.Fatalf("a second holder got %v", err)
	}
	// The holder removes the container, and the lock with it.
	if err := os.Remove(e.lockPath("web")); err != nil {
		t.Fatal(err)
	}
	again, err := e.takeLock(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
	again.Release()
}

func TestALockIsDroppedByItsHolderOnly(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	first, err := e.takeLock(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	first.Release()
	second, err := e.takeLock(context.Background(), "web")
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Drop(); err != nil {
		t.Fatal(err)
	}
	if third, err := e.tryLock("web"); third != nil || err != nil {
		t.Errorf("who had given the lock back dropped it, and there are two holders: %v", err)
	}
	if err := second.Drop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(e.lockPath("web")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its file is left: %v", err)
	}
}

func TestAStatusCutByACrashIsNotRunning(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	if err := os.MkdirAll(e.Dir("x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if s, err := e.Status("x"); err != nil || s.PID != 0 {
		t.Errorf("no file: %+v, %v", s, err)
	}
	if err := e.saveStatus("x", Status{PID: os.Getpid(), StartTicks: process.StartTicks(os.Getpid())}); err != nil {
		t.Fatal(err)
	}
	if s, err := e.Status("x"); err != nil || s.PID != os.Getpid() {
		t.Errorf("alive: %+v, %v", s, err)
	}
	if err := os.WriteFile(filepath.Join(e.Dir("x"), "status.json"), []byte(`{"PID":1,"Sta`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := e.Status("x"); err != nil || s.PID != 0 {
		t.Errorf("cut: %+v, %v", s, err)
	}
}

// TestALostStatus: a container whose status somebody has removed, or a full disk has cut, runs on,
// and is stopped as others are. It is not one that was never started.
func TestALostStatus(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Runtime: runc.Runtime{Root: t.TempDir()}}
	pid, ticks := os.Getpid(), process.StartTicks(os.Getpid())
	for id, started := range map[string]uint64{"lives": ticks, "ended": ticks - 1} {
		state := fmt.Sprintf(`{"id":%q,"init_process_pid":%d,"init_process_start":%d,"created":"2026-01-02T03:04:05Z"}`, id, pid, started)
		if err := errors.Join(os.MkdirAll(filepath.Join(e.Runtime.Root, id), 0o700), os.WriteFile(filepath.Join(e.Runtime.Root, id, "state.json"), []byte(state), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := e.Status("lives"); err != nil || s.PID != pid || s.StartTicks != ticks || s.StartedAt.Year() != 2026 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := e.Status("ended"); err != nil || s.PID != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestStopSignalAndTimeoutFallBackToTheImageAndTheConfiguration(t *testing.T) {
	r := Record{Config: ispec.ImageConfig{StopSignal: "SIGQUIT"}}
	if r.StopSignal() != unix.SIGQUIT {
		t.Errorf("image's: %v", r.StopSignal())
	}
	r.Spec.StopSignal = int(unix.SIGINT)
	if r.StopSignal() != unix.SIGINT {
		t.Errorf("asked for: %v", r.StopSignal())
	}
	if (Record{}).StopSignal() != unix.SIGTERM {
		t.Error("default is not SIGTERM")
	}
	init := Record{Config: ispec.ImageConfig{Entrypoint: []string{"/sbin/init"}}}
	if got := init.StopSignal(); got != 37 {
		t.Errorf("systemd's is %d, not SIGRTMIN+3", got)
	} else if name := SignalName(got); name != "SIGRTMIN+3" {
		t.Errorf("it is called %q", name)
	}
	init.Spec.Systemd = "false"
	if got := init.StopSignal(); got != unix.SIGTERM {
		t.Errorf("of an init that is not systemd: %v", got)
	}
	init.Spec.Systemd, init.Config.StopSignal = "always", "SIGQUIT"
	if got := init.StopSignal(); got != unix.SIGQUIT {
		t.Errorf("the image's, with systemd: %v", got)
	}
	if d := r.StopTimeout(7 * time.Second); d != 7*time.Second {
		t.Errorf("configured: %s", d)
	}
	zero := time.Duration(0)
	r.Spec.StopTimeout = &zero
	if d := r.StopTimeout(7 * time.Second); d != 0 {
		t.Errorf("asked for 0: %s", d)
	}
}

func TestGlobMountsEachMatchByItsName(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []string{"b.conf", "a.conf", "c.txt"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := glob(spec.Mount{Type: spec.MountGlob, Source: filepath.Join(dir, "*.conf"), Destination: "/etc/x"})
	if err != nil || len(got) != 2 || got[0].Destination != "/etc/x/a.conf" || got[0].Type != spec.MountBind {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := glob(spec.Mount{Type: spec.MountGlob, Source: filepath.Join(dir, "a*")}); err != nil || len(got) != 1 || got[0].Destination != filepath.Join(dir, "a.conf") {
		t.Errorf("without a destination: %+v, %v", got, err)
	}
	if _, err := glob(spec.Mount{Source: filepath.Join(dir, "*.none")}); err == nil {
		t.Error("a pattern without a match is no error")
	}
}

// TestGlobOfLinks: with no-dereference a link among the matches is copied, and the others are
// mounted.
func TestGlobOfLinks(t *testing.T) {
	dir, rootfs := t.TempDir(), t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "a"), nil, 0o600), os.Symlink("/nowhere", filepath.Join(dir, "b"))); err != nil {
		t.Fatal(err)
	}
	got, err := globLinks(rootfs, spec.Mount{Type: spec.MountGlob, Source: filepath.Join(dir, "*"), Destination: "/x", NoDereference: true}, nil)
	if err != nil || len(got) != 1 || got[0].Destination != "/x/a" {
		t.Errorf("mounted are %+v, %v", got, err)
	}
	if target, err := os.Readlink(filepath.Join(rootfs, "x/b")); target != "/nowhere" {
		t.Errorf("the link: %q, %v", target, err)
	}
	link := spec.Mount{Type: spec.MountBind, Source: filepath.Join(dir, "b"), Destination: "/data/b", NoDereference: true}
	for at, hides := range map[string]bool{"/data/": true, "/dat": false, "/data/b": false, "/data/b/c": false} {
		made, err := copyLink(rootfs, link, []spec.Mount{link, {Type: spec.MountTmpfs, Destination: at}})
		if made == hides || hides != (err != nil) {
			t.Errorf("with a mount at %s: %t, %v", at, made, err)
		}
	}
}

func TestStatusIsOfTheProcessThatWasNoted(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	own, gone := os.Getpid(), ended.Process.Pid
	for name, c := range map[string]struct {
		noted Status
		pid   int
	}{
		"one that lives":                      {Status{PID: own, StartTicks: process.StartTicks(own)}, own},
		"another that has its PID now":        {Status{PID: own, StartTicks: process.StartTicks(own) - 1}, 0},
		"one that is gone":                    {Status{PID: gone, StartTicks: 1}, 0},
		"one that was gone when it was noted": {Status{PID: gone}, 0},
		"none: the network is all there is":   {Status{NetworkMode: "pasta"}, 0},
		"one whose PID was another's at once": {Status{PID: own}, 0},
	} {
		e := &Engine{RunDir: t.TempDir()}
		if err := os.MkdirAll(e.dir("f00"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := e.saveStatus("f00", c.noted); err != nil {
			t.Fatal(err)
		}
		if s, err := e.Status("f00"); err != nil || s.PID != c.pid {
			t.Errorf("%s: PID %d, %v; want %d", name, s.PID, err, c.pid)
		}
	}
}

func TestTheConfigurationOfAStartThatIsNotOver(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	const id = "f00f00f00f00f00f"
	path := filepath.Join(e.dir(id), "config.json")
	if err := errors.Join(os.MkdirAll(e.dir(id), 0o700), unix.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	// Nobody writes to it: the start was killed.
	if _, err := e.OCI(id); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a pipe that nobody writes to: %v", err)
	}
	feed, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	if _, err := feed.WriteString("{}"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.OCI(id); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a pipe that somebody writes to: %v", err)
	}
	if n, err := feed.Read(make([]byte, 10)); n != 2 || err != nil {
		t.Errorf("%d bytes are left for the runtime, %v", n, err)
	}
}
