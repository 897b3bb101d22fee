// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLeave removes whom nobody can join any more, also while a parent has yet to notice.
func TestLeave(t *testing.T) {
	i := Identity{UID: 1000, RunDir: t.TempDir(), Entered: true}
	dir := filepath.Dir(i.entry(0))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone, zombie, alive := exec.Command("true"), exec.Command("true"), exec.Command("sleep", "60")
	if err := errors.Join(gone.Run(), zombie.Start(), alive.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alive.Process.Kill(); _ = alive.Wait(); _ = zombie.Wait() }()
	if err := unix.Waitid(unix.P_PID, zombie.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{os.Getpid(), gone.Process.Pid, zombie.Process.Pid, alive.Process.Pid} {
		if err := i.Keep(pid); err != nil {
			t.Fatal(err)
		}
	}
	i.Leave()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{strconv.Itoa(alive.Process.Pid), "lock"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

// TestKeepWaits writes the list of who holds the namespace under its lock: who holds that
// would take a half-written entry for a dead one's and remove it.
func TestKeepWaits(t *testing.T) {
	i := Identity{UID: 1000, RunDir: t.TempDir(), Entered: true}
	dir := filepath.Dir(i.entry(0))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	var kept atomic.Bool
	done := make(chan error)
	go func() {
		err := i.Keep(os.Getpid())
		kept.Store(true)
		done <- err
	}()
	time.Sleep(20 * time.Millisecond) // it waits for the lock, or has done what it should not
	if _, err := os.Stat(i.entry(os.Getpid())); err == nil || kept.Load() {
		t.Error("written while somebody else holds the lock")
	}
	lock.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(i.entry(os.Getpid())); err != nil || string(b) != "0\n" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestThreadsShareMemory makes threads of Go, whose C library would reserve 64 MiB of addresses for
// each that makes another one. Nobody may touch what is reserved. Source: mallopt(3), M_ARENA_MAX.
func TestThreadsShareMemory(t *testing.T) {
	const threads = 8
	var ready, end sync.WaitGroup
	ready.Add(threads)
	end.Add(1)
	defer end.Done()
	var start func(left int)
	start = func(left int) {
		runtime.LockOSThread() // whose end ends the thread
		if left > 1 {
			go start(left - 1)
		}
		ready.Done()
		end.Wait()
	}
	go start(threads)
	ready.Wait()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if size := to - from; mode == "---p" && size > 60<<20 && size < 64<<20 && to%(64<<20) == 0 && strings.HasSuffix(line, " 0 \n") {
			t.Errorf("a thread has reserved addresses of its own: %s", line)
		}
	}
}
