// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
)

// TestStopOfWhatHasEnded waits for the log copier and takes the network down: what is left then,
// systemd kills. It does neither while somebody else is at work on the container.
func TestStopOfWhatHasEnded(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	r := Record{ID: NewID(), Name: "web"}
	netns := filepath.Join(e.Dir(r.ID), "netns")
	if err := errors.Join(os.MkdirAll(e.Dir(r.ID), 0o700), os.WriteFile(netns, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	ended, copier := exec.Command("true"), exec.Command("sleep", "0.3")
	if err := errors.Join(ended.Run(), copier.Start()); err != nil {
		t.Fatal(err)
	}
	pid := copier.Process.Pid
	defer func() { _ = copier.Wait() }()
	err := e.saveStatus(r.ID, Status{PID: ended.Process.Pid, StartTicks: 1, LogPID: pid, LogTicks: process.StartTicks(pid)})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := e.takeLock(context.Background(), r.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(context.Background(), r, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(netns); err != nil {
		t.Errorf("the network of who holds the lock is gone: %v", err)
	}
	lock.Release()
	if err := e.Stop(context.Background(), r, time.Second); err != nil {
		t.Fatal(err)
	}
	if !process.HasEnded(pid) {
		t.Error("the log copier is still at work")
	}
	if _, err := os.Stat(netns); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the network is left: %v", err)
	}
}

// kept is a storage with some containers, which have a directory.
type kept struct {
	several
	dir   string
	asked *bool // for the directory, which the storage makes then
}

func (k kept) ContainerDirectory(string) (string, error) {
	*k.asked = true
	return k.dir, nil
}

// TestTheEndOfWhatIsRemovedIsTold with its status, which the kernel knows: the manager is not
// asked. Whether the end has been noted, the storage is asked only by others than the unit.
func TestTheEndOfWhatIsRemovedIsTold(t *testing.T) {
	t.Run("by its unit", func(t *testing.T) { endIsTold(t, "web.service", false) })
	t.Run("by hand", func(t *testing.T) { endIsTold(t, "", true) })
}

func endIsTold(t *testing.T, unit string, asksStorage bool) {
	t.Helper()
	r := Record{ID: NewID(), Name: "web", BootID: BootID()}
	askedStorage := false
	store := kept{several{nowhere{root: t.TempDir()}, map[string]Record{r.ID: r}}, t.TempDir(), &askedStorage}
	e := &Engine{RunDir: t.TempDir(), Store: store, Runtime: runc.Runtime{Root: t.TempDir()}, Unit: unit, codeWait: time.Minute}
	first := exec.Command("sleep", "600")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = first.Wait() }() // as the manager does
	pid := first.Process.Pid
	status := Status{PID: pid, StartTicks: process.StartTicks(pid), StartedAt: time.Now(), Unit: "web.service", LogPID: pid, LogTicks: 1}
	if err := errors.Join(e.mark(&r), e.saveStatus(r.ID, status)); err != nil {
		t.Fatal(err)
	}
	var told []journal.Event
	e.Event = func(event journal.Event) { told = append(told, event) }
	asked := false
	e.HowEnded = func(Status) (int, bool) { asked = true; return 128 + 15, true }
	if err := e.Remove(context.Background(), r, true, false, time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(told) != 3 || told[0].Status != "stop" || told[1].Status != "died" || told[2].Status != "remove" {
		t.Fatalf("told %+v", told)
	}
	if code := told[1].ExitCode; code == nil || *code != 128+15 {
		t.Errorf("it died with %v", code)
	}
	if asked && knows(t) {
		t.Error("the manager was asked")
	}
	if askedStorage != asksStorage {
		t.Errorf("the storage was asked: %v", askedStorage)
	}
}

// TestTheEndOfWhatIsAttachedIsToldOnce by the one who is attached or by the one who removes the
// container, also where both are of its unit.
func TestTheEndOfWhatIsAttachedIsToldOnce(t *testing.T) {
	for _, attachedFirst := range []bool{true, false} {
		r := Record{ID: NewID(), Name: "web", BootID: BootID()}
		askedStorage := false
		store := kept{several{nowhere{root: t.TempDir()}, map[string]Record{r.ID: r}}, t.TempDir(), &askedStorage}
		e := &Engine{RunDir: t.TempDir(), Store: store, Runtime: runc.Runtime{Root: t.TempDir()}, Unit: "web.service"}
		first := exec.Command("sleep", "600")
		if err := first.Start(); err != nil {
			t.Fatal(err)
		}
		pid := first.Process.Pid
		status := Status{PID: pid, StartTicks: process.StartTicks(pid), StartedAt: time.Now(), Unit: e.Unit, LogPID: pid, LogTicks: 1, Attached: true}
		if err := errors.Join(e.mark(&r), e.saveStatus(r.ID, status)); err != nil {
			t.Fatal(err)
		}
		died := 0
		e.Event = func(event journal.Event) {
			if event.Status == "died" {
				died++
			}
		}
		p, err := process.Open(pid, status.StartTicks)
		if err != nil {
			t.Fatal(err)
		}
		_ = first.Process.Kill()
		_ = first.Wait()
		ends := []func(){func() {
			if err := e.Ended(r, 137); err != nil {
				t.Error(err)
			}
		}, func() { e.tellLateEnd(r, status, p)() }}
		if !attachedFirst {
			slices.Reverse(ends)
		}
		for _, end := range ends {
			end()
		}
		p.Close()
		if died != 1 {
			t.Errorf("attached first: %t: its end is told %d times", attachedFirst, died)
		}
	}
}

// knows reports whether this kernel tells how a process has ended.
func knows(t *testing.T) bool {
	t.Helper()
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	p, err := process.Open(cmd.Process.Pid, 0)
	if p == nil || err != nil {
		t.Fatalf("cannot open it: %v", err)
	}
	defer p.Close()
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	_, known := p.Code(0)
	return known
}
