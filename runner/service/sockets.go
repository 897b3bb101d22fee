// SPDX-License-Identifier: Apache-2.0

package service

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/hint"
	"golang.org/x/sys/unix"
)

// firstSocket is the descriptor at which handed files begin. Source: sd_listen_fds(3).
const firstSocket = 3

// takeSockets takes the open files that are meant for the container: those that the manager handed
// to this process for the unit's .socket files, as many more as --preserve-fds says, and those that
// --preserve-fd names. No other child process gets them.
func (e *Engine) takeSockets(r *container.Record, join *container.Join) (container.Sockets, error) {
	var s container.Sockets
	if pid, _ := e.Lookup("LISTEN_PID"); pid == strconv.Itoa(os.Getpid()) {
		text, _ := e.Lookup("LISTEN_FDS")
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return s, fmt.Errorf("LISTEN_FDS=%q is not a number of sockets", text)
		}
		names, _ := e.Lookup("LISTEN_FDNAMES")
		s.Listening, s.Names = n, names
	}
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	var err error
	if s.Files, err = Handed(s.Listening+r.Spec.PreserveFDs, r.Spec.PreserveFD); err != nil {
		return s, err
	}
	if s.Listening == 0 {
		return s, nil
	}
	if mode := r.Spec.PIDNS.Mode; mode != "" && mode != "private" || join != nil && slices.Contains(join.Share, "pid") {
		return s, hint.With(errors.New("the sockets of the unit are for a process whose number the container knows beforehand, which takes a PID namespace of its own"),
			"leave --pid out, or take %s.socket away", strings.TrimSuffix(e.Own.Name, ".service"))
	}
	return s, nil
}

// Handed takes files that this process was started with: row of them from descriptor 3 on, and
// those with the given numbers. It returns them in order from descriptor 3 on, with an empty file
// for each number that nobody asked for. No other child process gets them.
func Handed(row int, numbers []int) ([]*os.File, error) {
	wanted := map[int]bool{}
	for i := range row {
		wanted[firstSocket+i] = true
	}
	for _, fd := range numbers {
		wanted[fd] = true
	}
	for fd := range wanted {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 {
			err = unix.EBADF // we opened it ourselves, since it was free
		}
		if err == nil {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC)
		}
		if err != nil {
			return nil, hint.With(fmt.Errorf("descriptor %d, which the container is to get, is not open: %w", fd, err),
				"--preserve-fds counts what is open from %d on, behind the sockets of the unit, and --preserve-fd names what is", firstSocket)
		}
	}
	var files []*os.File
	var gap *os.File
	for fd := firstSocket; len(wanted) > 0; fd++ {
		if wanted[fd] {
			files = append(files, os.NewFile(uintptr(fd), "socket"+strconv.Itoa(fd-firstSocket)))
			delete(wanted, fd)
			continue
		}
		if gap == nil {
			// The runtime takes a row without gaps.
			var err error
			if gap, err = os.Open(os.DevNull); err != nil {
				return nil, err
			}
		}
		files = append(files, gap)
	}
	return files, nil
}
