// SPDX-License-Identifier: Apache-2.0

// Package slack has the kernel wake the monitor threads of runc less often during a start.
//
// Each Go program has a thread that asks every 20 microseconds whether anything hangs, and asks
// less often only when nothing has happened for a while. In a start always something happens, in
// runc and in what runc makes of itself. A thread's timer slack is how late the kernel may wake it:
// with the usual 50 microseconds these threads wake up twelve times in a millisecond, and with Late
// a few times in the whole start.
//
// This process's own monitor thread keeps the usual slack. That thread makes other threads when a
// system call takes long, and they inherit its slack, and so does what is started from them and
// stays.
//
// What a unit stops with leaves nothing behind, so there the monitor thread of this process itself
// wakes later, by a millisecond: wake_late in runner/rootless/enter.c.
//
// Price: this package, a field and a function of runc.Creation, and a function in C. Gain: 4 % of a
// start's processor time (0.956 of what it takes without, on a busy machine), and 3 to 5 % of a
// stop's (0.95 to 0.97). Source:
// PR_SET_TIMERSLACK(2const), proc_pid_timerslack_ns(5); sysmon and handoffp in Go's
// runtime/proc.go.
package slack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Late is how late the kernel may wake what has no timer of its own to keep.
const Late = 10 * time.Millisecond

// Own is the slack of the calling thread's timers: the usual one, or that of TimerSlackNSec= in the
// unit.
func Own() (time.Duration, error) {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("timer slack: %w", err)
	}
	return time.Duration(ns), nil
}

// Start starts a command whose timers have Late, and what it makes as well. It returns the slack
// that they would have had; to give it to a process that stays is the caller's duty. Who could not
// do that by Set gets 0, and the command has the usual slack.
func Start(cmd *exec.Cmd) (usual time.Duration, err error) {
	// A process inherits the slack of the thread that makes it. Go makes no thread from a locked one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual, err = Own()
	if err != nil || usual == 0 || !allowed() { // 0 of one with a realtime policy
		return 0, cmd.Start()
	}
	// Set writes a file, and /proc may be read-only: this changes nothing, and tells.
	if Set(unix.Gettid(), usual) != nil || set(Late) != nil {
		return 0, cmd.Start()
	}
	err = cmd.Start()
	return usual, errors.Join(err, set(usual))
}

// set sets the slack of the calling thread.
func set(d time.Duration) error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(d.Nanoseconds()), 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack of %v: %w", d, err)
	}
	return nil
}

// allowed reports whether this process may set the slack of others.
func allowed() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	return unix.Capget(&header, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_SYS_NICE) != 0
}

// Set sets the slack of the timers of a process with one thread, or of one thread. It takes
// CAP_SYS_NICE over the process.
func Set(pid int, d time.Duration) error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid), strconv.AppendInt(nil, d.Nanoseconds(), 10), 0)
	if err != nil {
		return fmt.Errorf("timer slack of process %d, which takes CAP_SYS_NICE: %w", pid, err)
	}
	return nil
}
