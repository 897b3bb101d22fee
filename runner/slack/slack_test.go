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
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		t.Skip("only root reads that of another process")
	}
	if err != nil {
		t.Fatal(err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ns)
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

// TestStartReadOnly: where Set cannot write to /proc, the command has the usual slack.
func TestStartReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	runtime.LockOSThread() // this thread alone has the mounts, and ends with the test
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/proc", "/proc", "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/proc", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
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
	if err != nil || usual != 0 || strings.TrimSpace(out.String()) != strconv.FormatInt(own.Nanoseconds(), 10) {
		t.Errorf("it had %q, want %v; the usual one is %v, %v", out.String(), own, usual, err)
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
