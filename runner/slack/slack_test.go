// SPDX-License-Identifier: Apache-2.0

package slack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// of reads the slack of a process or thread; it is 0 if that has ended.
func of(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return 0
	}
	if err != nil {
		t.Skipf("who has no CAP_SYS_NICE reads none: %v", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ns)
}

// TestMonitor: the monitor thread gets it, and neither another thread nor a process that we start.
func TestMonitor(t *testing.T) {
	own, err := Own()
	if err != nil || own == Late {
		t.Fatalf("%v, %v", own, err)
	}
	// The monitor of a process that does nothing is not woken, and this test does nothing but wait.
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	thread := 0
	for deadline := time.Now().Add(time.Minute); thread == 0 && time.Now().Before(deadline); thread = monitor() {
	}
	if thread == 0 {
		t.Fatal("no thread waits in nanosleep(2)")
	}
	of(t, thread)
	for got := 0; got == 0; {
		Monitor()
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range threads {
			id, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			switch d := of(t, id); {
			case d == Late && id == thread:
				got++
			case d != own && d != 0:
				t.Fatalf("thread %d, of which %d is the monitor: %v", id, thread, d)
			}
		}
	}
	for range 20 {
		out, err := exec.Command("cat", "/proc/self/timerslack_ns").Output()
		if want := strconv.FormatInt(own.Nanoseconds(), 10); err != nil || strings.TrimSpace(string(out)) != want {
			t.Fatalf("a process of ours has %q, want %s: %v", out, want, err)
		}
	}
}

// TestStart: the command has it, and not the thread that started it.
func TestStart(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.Command("cat", "/proc/self/timerslack_ns")
	cmd.Stdout = &out
	usual, err := Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatal(err)
	}
	want := Late
	if !allowed() {
		want, own = own, 0
	}
	if got := strings.TrimSpace(out.String()); got != strconv.FormatInt(want.Nanoseconds(), 10) || usual != own {
		t.Errorf("it had %s, want %v; the usual one is %v, want %v", got, want, usual, own)
	}
	if after, err := Own(); err != nil || own != 0 && after != own {
		t.Errorf("we have %v afterwards, %v", after, err)
	}
	if _, err := Start(exec.Command("/nonexistent")); err == nil {
		t.Error("what is not there was started")
	}
}

// TestSet changes another process.
func TestSet(t *testing.T) {
	cmd := exec.Command("sleep", "infinity")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	before := of(t, cmd.Process.Pid)
	if err := Set(cmd.Process.Pid, Late); err != nil {
		t.Fatal(err)
	}
	if got := of(t, cmd.Process.Pid); got != Late || before == Late {
		t.Errorf("%v, before %v", got, before)
	}
}
