// SPDX-License-Identifier: Apache-2.0

// Package cut runs a command, counts the system calls with which podunit changes something in it,
// and kills podunit before one of them. So a test can end a verb at each of its writes, without
// a word about that in the verb.
//
// The kernel hands each such call of the command to this process first (seccomp_unotify(2)), from
// whatever thread or child it comes, so they are counted in one order. Root installs the filter:
// nobody else may without no_new_privs, which would take newuidmap its rights.
package cut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Result is what became of a command.
type Result struct {
	Code   int      // exit status; 128 and the signal's number if a signal ended it
	Calls  []string // each call that counted, with its names; the last one was not executed if Killed
	Killed bool
}

// Run runs args, and kills the program whose file is called ours before the call number at, from 1
// on; 0 only counts. It returns when the command and all that it has started have ended, or, for
// what it has started, when linger has passed since. Child and rest are how this program is called
// to be Child and Rest.
func Run(ctx context.Context, ours string, at int, child, rest, args []string) (Result, error) {
	cmd := exec.CommandContext(ctx, child[0], append(slices.Clone(child[1:]), args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return Result{}, err
	}
	listener, err := listenerOf(cmd.Process.Pid)
	if err != nil {
		return Result{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	defer unix.Close(listener)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	w := watcher{ours: ours, at: at, listener: listener}
	var end error
	var late time.Time
	for {
		more, err := w.next()
		if err != nil {
			return w.Result, err
		}
		select {
		case end = <-ended:
			late = time.Now().Add(linger)
		default:
		}
		if late.IsZero() || more && time.Now().Before(late) {
			continue
		}
		if more {
			if err := leave(listener, rest); err != nil {
				return w.Result, err
			}
		}
		break
	}
	w.Code = cmd.ProcessState.ExitCode()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		w.Code = 128 + int(s.Signal())
	}
	var exit *exec.ExitError
	if errors.As(end, &exit) {
		end = nil
	}
	return w.Result, end
}

// linger is how long Run waits for what the command has started.
var linger = 30 * time.Second

// leave has another process be Rest, or what the command has started could write nothing any more.
func leave(listener int, rest []string) error {
	fd, err := unix.FcntlInt(uintptr(listener), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	cmd := exec.Command(rest[0], rest[1:]...)
	cmd.ExtraFiles = []*os.File{f}
	return cmd.Start()
}

// Rest answers the kernel, which asks at descriptor 3, until nobody is left whose calls it asks of.
func Rest() error {
	w := watcher{listener: 3, Result: Result{Killed: true}}
	for {
		if more, err := w.next(); err != nil || !more {
			return err
		}
	}
}

// watcher is the process that the kernel asks.
type watcher struct {
	ours     string
	at       int
	listener int
	last     string // the file of the last call that counted, if it was of a stream
	orders   *orders
	Result
}

// notification and answer are struct seccomp_notif and struct seccomp_notif_resp of
// linux/seccomp.h.
type notification struct {
	id            uint64
	thread, flags uint32
	number, arch  uint32
	ip            uint64
	args          [6]uint64
}

type answer struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// next waits a moment for a call, and answers it. It says whether there is a process left.
func (w *watcher) next() (bool, error) {
	fds := []unix.PollFd{{Fd: int32(w.listener), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 20)
	if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
		return true, nil
	}
	if err != nil || fds[0].Revents&unix.POLLIN == 0 {
		return false, err
	}
	var c notification
	if err := ioctl(w.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&c)); err != nil {
		return true, gone(err)
	}
	if w.kill(c) {
		return true, unix.Kill(int(c.thread), unix.SIGKILL)
	}
	a := answer{id: c.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	return true, gone(ioctl(w.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a)))
}

// kill counts a call, and says whether podunit is to be killed before this one.
func (w *watcher) kill(c notification) bool {
	if w.Killed && w.orders == nil {
		return false
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.thread))
	if err != nil || filepath.Base(program) != w.ours || w.orders != nil && !w.ordered(c.thread) {
		return false
	}
	call := calls[c.number]
	var flags uint64
	if at, ok := opens[c.number]; ok {
		flags = c.args[at]
	}
	names := call.names(int(c.thread), c.args, flags)
	if len(names) == 0 {
		return false
	}
	file := names[len(names)-1]
	again := streams[call.name] && w.last == file
	w.last = ""
	if streams[call.name] {
		w.last = file
	}
	if again {
		return false
	}
	w.Calls = append(w.Calls, call.name+" "+strings.Join(names, " "))
	w.Killed = len(w.Calls) == w.at
	w.tell()
	return w.Killed
}

// gone returns nil if the error says that whoever made the call was killed meanwhile.
func gone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.EINPROGRESS) {
		return nil
	}
	return err
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, err := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); err != 0 {
		return fmt.Errorf("seccomp notification: %w", err)
	}
	return nil
}

// listenerOf gets the descriptor that Child has got from the kernel.
func listenerOf(pid int) (int, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	for range 6000 {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return -1, err
		}
		for _, e := range entries {
			if to, _ := os.Readlink(filepath.Join(dir, e.Name())); !strings.Contains(to, "seccomp notify") {
				continue
			}
			var number int
			if _, err := fmt.Sscan(e.Name(), &number); err != nil {
				return -1, err
			}
			child, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				return -1, err
			}
			defer unix.Close(child)
			return unix.PidfdGetfd(child, number, 0)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return -1, errors.New("the command has not got its filter within a minute")
}

// Child has the kernel ask its parent about each of calls, and executes args.
func Child(args []string) error {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	// The thread that executes the program is the one that stays.
	runtime.LockOSThread()
	code := program()
	filter := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&filter)))
	runtime.KeepAlive(code)
	if errno != 0 {
		return fmt.Errorf("seccomp filter: %w", errno)
	}
	// It fails, and not before the parent has the descriptor, which the program will not have.
	if err := unix.Mkdirat(unix.AT_FDCWD, "", 0); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("nobody answers the filter: %w", err)
	}
	return unix.Exec(path, args, os.Environ())
}

// program is the filter: the kernel asks about calls, and about opens that make or empty a file.
func program() []unix.SockFilter {
	const number, args = 0, 16 // of struct seccomp_data
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	jump := func(how uint16, k uint32, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | how | unix.BPF_K, Jf: otherwise, K: k}
	}
	end := func(action uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
	}
	code := []unix.SockFilter{load(number)}
	for nr := range calls {
		if at, ok := opens[nr]; ok {
			code = append(code, jump(unix.BPF_JEQ, nr, 4), load(args+8*uint32(at)), jump(unix.BPF_JSET, makes, 1), end(unix.SECCOMP_RET_USER_NOTIF), end(unix.SECCOMP_RET_ALLOW))
			continue
		}
		code = append(code, jump(unix.BPF_JEQ, nr, 1), end(unix.SECCOMP_RET_USER_NOTIF))
	}
	return append(code, end(unix.SECCOMP_RET_ALLOW))
}
