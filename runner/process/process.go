// SPDX-License-Identifier: Apache-2.0

// Package process watches, signals and ends processes that are not our children. A number
// alone may come to mean another process; a Process, made of a pidfd, cannot.
// Source: pidfd_open(2).
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// KillWait is how long a process may take to die of SIGKILL before we give up on it: it may be
// in the middle of slow input or output.
const KillWait = 10 * time.Second

// A Process is a handle on a running process.
type Process struct{ fd int }

// Open returns a handle on the process. It returns nil without an error if the process has
// ended, or if ticks is not 0 and not its StartTicks. The caller closes it.
func Open(pid int, ticks uint64) (*Process, error) {
	if pid <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if gone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	// Read after the descriptor was taken: the descriptor holds this process, or its end.
	if now := StartTicks(pid); now == 0 || ticks != 0 && now != ticks {
		unix.Close(fd)
		return nil, nil
	}
	return &Process{fd}, nil
}

// Descriptor returns a pidfd to hand on to another program; the caller closes it. The error is
// ESRCH if there is no such process.
func Descriptor(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return fd, nil
}

// gone tells whether pidfd_open said that there is no such process. Where a thread has the
// number, older kernels say EINVAL and newer ones ENOENT.
func gone(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT)
}

// Close gives the handle back.
func (p *Process) Close() { unix.Close(p.fd) }

// Signal sends a signal. That the process has ended is no error.
func (p *Process) Signal(sig unix.Signal) error {
	err := unix.PidfdSendSignal(p.fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// Wait returns true when the process has ended, and false when d has passed or ctx has ended
// before.
func (p *Process) Wait(ctx context.Context, d time.Duration) bool {
	deadline := time.Now().Add(d)
	for {
		left := max(time.Until(deadline), 0)
		// Short enough to notice that ctx has ended, and rounded up, or the last millisecond
		// would pass in a busy loop.
		ms := (min(left, 200*time.Millisecond) + time.Millisecond - 1).Milliseconds()
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, int(ms))
		if n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
		if left == 0 || ctx.Err() != nil {
			return false
		}
	}
}

// End sends a signal, waits for grace, and then kills. It returns when the process has ended.
func (p *Process) End(sig unix.Signal, grace time.Duration) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	if p.Wait(context.Background(), grace) {
		return nil
	}
	return p.Kill()
}

// Kill sends SIGKILL and returns when the process has ended, or an error after KillWait.
func (p *Process) Kill() error {
	if err := p.Signal(unix.SIGKILL); err != nil {
		return err
	}
	if !p.Wait(context.Background(), KillWait) {
		return errors.New("it does not die of SIGKILL")
	}
	return nil
}

// End is Process.End for a process by its number and StartTicks; 0 for ticks takes whatever
// process has the number. That it has ended already is no error.
func End(pid int, ticks uint64, sig unix.Signal, grace time.Duration) error {
	p, err := Open(pid, ticks)
	if p == nil || err != nil {
		return err
	}
	defer p.Close()
	if err := p.End(sig, grace); err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	return nil
}

// info is struct pidfd_info as Linux 6.13 made it. Source: linux/pidfd.h.
type info struct {
	mask, _ uint64
	_       [11]uint32
	status  int32 // as of wait(2)
}

const (
	getInfo  = 0xc040ff0b // PIDFD_GET_INFO, for an info of this size
	infoExit = 1 << 3     // PIDFD_INFO_EXIT
)

// Code is the exit status of a process that has ended; 128+N is a death by signal N. Before Linux
// 6.15 only the parent is told, and known is false; so it is where the parent has not asked for d
// long, and where the process could not be opened. Source: pidfs in Linux, fs/pidfs.c.
func (p *Process) Code(d time.Duration) (code int, known bool) {
	if p == nil {
		return 0, false
	}
	for deadline := time.Now().Add(d); ; {
		ended := info{mask: infoExit}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), getInfo, uintptr(unsafe.Pointer(&ended))); errno != 0 {
			return 0, false
		}
		status := unix.WaitStatus(ended.status)
		switch {
		case ended.mask&infoExit == 0:
		case status.Signaled():
			return 128 + int(status.Signal()), true
		default:
			return status.ExitStatus(), true
		}
		left := time.Until(deadline)
		if left <= 0 {
			return 0, false
		}
		// The kernel hangs up when the parent has asked.
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.fd)}}, int(min(left, codeTick).Milliseconds())+1)
	}
}

// codeTick is how often Code looks where the kernel wakes nobody.
const codeTick = 10 * time.Millisecond

// StartTicks is the start time of a process in clock ticks since boot. It is 0 if there is no
// such process or only its zombie. Source: proc_pid_stat(5), fields 3 and 22.
func StartTicks(pid int) uint64 {
	b, err := safe.ReadSmall("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The second field is the command in parentheses, and may hold anything.
	i := strings.LastIndexByte(string(b), ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 || f[0] == "Z" || f[0] == "X" {
		return 0
	}
	n, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Alive reports whether the process runs and, unless ticks is 0, is the one that started then.
func Alive(pid int, ticks uint64) bool {
	now := StartTicks(pid)
	return now != 0 && (ticks == 0 || ticks == now)
}

// HasEnded reports whether there is no such process, or only its zombie. Where the kernel does
// not say, it is false. Unlike Alive it needs no /proc.
func HasEnded(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return gone(err)
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// KillGroup kills the process group that a started command leads, as its Cancel. It returns
// os.ErrProcessDone if the group has ended by itself: os/exec takes no other error for that, and
// would call a command that has succeeded cancelled.
func KillGroup(cmd *exec.Cmd) error {
	err := unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// programWait is how long a container may take from being ready to executing its program.
const programWait = 2 * time.Second

// AwaitProgram waits until a container's first process is the container's own program: for a
// moment after the unit has become active it is still runc's, to which a signal means nothing.
// It gives up silently after 2 s, or when ctx ends. Source: runc's libcontainer/nsenter,
// PR_SET_NAME.
func AwaitProgram(ctx context.Context, pid int) {
	comm := fmt.Sprintf("/proc/%d/comm", pid)
	for begun := time.Now(); ctx.Err() == nil && time.Since(begun) < programWait; time.Sleep(time.Millisecond) {
		if name, err := os.ReadFile(comm); err != nil || string(name) != "runc:[2:INIT]\n" {
			return
		}
	}
}
