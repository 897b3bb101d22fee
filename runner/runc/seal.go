// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// So that no container can write to runc's program through /proc/PID/exe (CVE-2019-5736), every
// runc copies itself into a sealed file in memory and executes itself again: eleven megabytes, and
// some ten milliseconds in which the start stands still. It does not if it was executed from such
// a file. So the copy is made here, while the start does something else.
//
// Price: these lines. Gain: 8 to 10 ms of a start of 90, in 30 starts by turns with and without
// it. Source: runc, libcontainer/nsenter/cloned_binary.c, and libcontainer/exeseal of newer ones.

// farAway is the least number of the descriptor: between fork and exec, Go puts other files
// behind the numbers that follow those of the streams. From 64 on the kernel would make a larger
// table, for which it waits for all processors.
// Source: forkAndExecInChild1 in Go's syscall/exec_linux.go.
const farAway = 56

const allSeals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// seal returns the path of a sealed copy of the program, which lasts as long as this process. If
// there is none to be had, it returns the path of the program, and the runtime does it by itself.
// Other runtimes than runc are left alone, and so are scripts, and a machine with SELinux, whose
// domains hang on the label of the file.
func seal(program string) string {
	if filepath.Base(program) != "runc" || hasSELinux() {
		return program
	}
	fd, err := sealedCopy(program)
	if err != nil {
		return program
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

// hasSELinux reports whether the kernel has SELinux on.
func hasSELinux() bool { return unix.Access("/sys/fs/selinux/enforce", unix.F_OK) == nil }

// Sealed returns a copy of a program that nobody can write to, in memory. A container that executes
// it gets hold of no file of the machine.
func Sealed(program string) (*os.File, error) {
	fd, err := sealedCopy(program)
	if err != nil {
		return nil, fmt.Errorf("sealed copy of %s: %w", program, err)
	}
	return os.NewFile(uintptr(fd), program), nil
}

func sealedCopy(program string) (fd int, err error) {
	from, err := os.Open(program)
	if err != nil {
		return 0, err
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil {
		return 0, err
	}
	magic := make([]byte, 4)
	if _, err := from.ReadAt(magic, 0); err != nil {
		return 0, err
	}
	if string(magic) != "\x7fELF" {
		return 0, errors.New("not an ELF file")
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	name := filepath.Base(program)
	fd, err = unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all may be executed
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return 0, err
	}
	to := os.NewFile(uintptr(fd), name)
	defer to.Close()
	for left := st.Size(); left > 0; {
		n, err := unix.Sendfile(fd, int(from.Fd()), nil, int(left))
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF // it became shorter meanwhile
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		left -= int64(max(n, 0))
	}
	if err := addSeals(fd); err != nil {
		return 0, err
	}
	return unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, farAway)
}

// sealWait is how long the seals of a copy are tried for.
const sealWait = 2 * time.Second

// addSeals seals a file in memory. The kernel refuses for as long as something else holds one of
// its pages, for which it waits 150 ms by itself: see untilTold.
func addSeals(fd int) error {
	for deadline := time.Now().Add(sealWait); ; time.Sleep(time.Millisecond) {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}
