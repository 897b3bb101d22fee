// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Sealed begins to copy runc into memory, for Create to execute that copy.
//
// So that no container can write to its program through /proc/PID/exe (CVE-2019-5736), every start of runc copies
// itself into a sealed file in memory and executes itself again: five milliseconds in which the start stands still. It
// does not if that is where it was executed from; and our copy is made while the storage is at work. Source: runc,
// libcontainer/nsenter/cloned_binary.c. Other runtimes are left alone, and so is SELinux, whose domains hang on the
// label of the file.
func (r Runtime) Sealed() Runtime {
	if filepath.Base(r.Command) != "runc" {
		return r
	}
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		return r
	}
	r.sealed = sync.OnceValue(func() string {
		fd, err := seal(r.Command)
		if err != nil {
			return r.Command // it makes its own
		}
		return fmt.Sprintf("/proc/self/fd/%d", fd)
	})
	go r.sealed()
	return r
}

// seal returns a sealed copy of a program in memory.
func seal(path string) (fd int, err error) {
	from, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer from.Close()
	st, err := from.Stat()
	if err != nil {
		return -1, err
	}
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err = unix.MemfdCreate("runc", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3, where all may be executed
		fd, err = unix.MemfdCreate("runc", flags)
	}
	if err != nil {
		return -1, err
	}
	for left := st.Size(); left > 0 && err == nil; {
		var n int
		if n, err = unix.Sendfile(fd, int(from.Fd()), nil, int(left)); n == 0 && err == nil {
			err = fmt.Errorf("%s became shorter", path)
		}
		left -= int64(n)
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	// Between fork and exec, Go puts other files behind the numbers that follow those of
	// the streams; see forkAndExecInChild1 in syscall/exec_linux.go.
	far, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, farAway)
	unix.Close(fd)
	return far, err
}

// farAway is a descriptor that nothing else reaches. From 64 on, the kernel makes a larger table, and waits for all
// processors with it: 10 ms.
const farAway = 56
