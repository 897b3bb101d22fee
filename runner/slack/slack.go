// SPDX-License-Identifier: Apache-2.0

// Package slack has the kernel wake the monitor threads of Go programs less often during a start.
//
// Each Go program has a thread that asks every 20 microseconds whether anything hangs, and asks less
// often only when nothing has happened for a while. In a start always something happens, in podunit,
// in runc and in what runc makes of itself. A thread's timer slack is how late the kernel may wake it:
// with the usual 50 microseconds these threads wake up twelve times in a millisecond, and with Late a
// few times in the whole start.
//
// Price: this package, and a field and a function of runc.Creation. Gain: 5 % of a start's processor time (95.5
// to 90.2 ms on a busy machine, 28 starts by turns with and without it: 0.944 [0.931 0.959]; 36 others: 0.952).
// Source: PR_SET_TIMERSLACK(2const), proc_pid_timerslack_ns(5); sysmon in Go's runtime/proc.go.
package slack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Late is how late the kernel may wake what has no timer of its own to keep.
const Late = 10 * time.Millisecond

// Own is the slack of the calling thread's timers: the usual one, or that of TimerSlackNSec= in the unit.
func Own() (time.Duration, error) {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("timer slack: %w", err)
	}
	return time.Duration(ns), nil
}

// Start starts a command whose timers have Late, and what it makes as well. It returns the slack that they
// would have had; to give it to a process that stays is the caller's duty. Who could not do that by Set
// gets 0, and the command has the usual slack.
func Start(cmd *exec.Cmd) (usual time.Duration, err error) {
	// A process inherits the slack of the thread that makes it. Go makes no thread from a locked one.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	usual, err = Own()
	if err != nil || usual == 0 || !allowed() || set(Late) != nil { // 0 of one with a realtime policy
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

// Set sets the slack of the timers of a process with one thread, or of one thread. It takes CAP_SYS_NICE
// over the process.
func Set(pid int, d time.Duration) error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid), strconv.AppendInt(nil, d.Nanoseconds(), 10), 0)
	if err != nil {
		return fmt.Errorf("timer slack of process %d, which takes CAP_SYS_NICE: %w", pid, err)
	}
	return nil
}

// looks is how often the threads are looked through: the monitor may be awake at that moment.
const looks = 3

// Monitor gives this process's own monitor thread Late. It starts no process, so that none inherits
// it. If the thread cannot be found, or we may not do it, all stays as it is.
func Monitor() {
	for range looks {
		if thread := monitor(); thread != 0 {
			_ = Set(thread, Late) // that costs a little time, and nothing else
			return
		}
	}
}

// monitor finds the monitor thread: no other one waits in nanosleep(2). It is 0 if that one does not
// wait there just now. Source: proc_pid_syscall(5); usleep in Go's runtime, and what calls it.
func monitor() int {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	asleep := strconv.Itoa(unix.SYS_NANOSLEEP) + " "
	for _, t := range threads {
		text, err := os.ReadFile("/proc/self/task/" + t.Name() + "/syscall")
		if err == nil && strings.HasPrefix(string(text), asleep) {
			id, _ := strconv.Atoi(t.Name()) // the kernel's own number
			return id
		}
	}
	return 0
}
