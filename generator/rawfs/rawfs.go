// SPDX-License-Identifier: Apache-2.0

// Package rawfs is the system calls of openat(2) and its kin for thousands of small files at boot.
// They are raw: the Go scheduler is not told, which has nothing else to run, and a call on a file
// of a few lines is shorter than telling it.
package rawfs

import (
	"errors"
	"syscall"
	"unsafe"
)

// Flags that package syscall does not have. Source: fcntl.h of Linux.
const (
	Here      = -100                             // AT_FDCWD: names are relative to the working directory
	Nameless  = 0o20000000 | syscall.O_DIRECTORY // O_TMPFILE
	Locate    = 0o10000000                       // O_PATH
	emptyPath = 0x1000                           // AT_EMPTY_PATH
)

// Open opens name in the directory dir. It never waits.
func Open(dir int, name string, flags int, mode uint32) (fd int, err error) {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return -1, err
	}
	for {
		fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(p)),
			uintptr(flags|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY), uintptr(mode), 0, 0)
		if errno == 0 {
			return int(fd), nil
		}
		if errno != syscall.EINTR {
			return -1, errno
		}
	}
}

// Read reads once, at most as much as buf holds.
func Read(fd int, buf []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// Mode is the type and the permissions of an open file, as in st_mode.
func Mode(fd int) (uint32, error) {
	var st syscall.Stat_t
	if _, _, errno := syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&st)), 0); errno != 0 {
		return 0, errno
	}
	return st.Mode, nil
}

// Write writes all of text.
func Write(fd int, text []byte) error {
	for len(text) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(text))), uintptr(len(text)))
		switch {
		case errno == 0:
			text = text[n:]
		case errno != syscall.EINTR:
			return errno
		}
	}
	return nil
}

// Close closes a descriptor.
func Close(fd int) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// Name gives the file behind a descriptor a name in the directory dir. Without CAP_DAC_READ_SEARCH
// that is ENOENT before Linux 6.10.
func Name(fd, dir int, name string) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	empty := [1]byte{}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_LINKAT, uintptr(fd), uintptr(unsafe.Pointer(&empty)), uintptr(dir),
		uintptr(unsafe.Pointer(p)), emptyPath, 0); errno != 0 {
		return errno
	}
	return nil
}

// Symlink makes name, in the directory dir, a link to target.
func Symlink(target string, dir int, name string) error {
	p, err := syscall.BytePtrFromString(target)
	q, err2 := syscall.BytePtrFromString(name)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SYMLINKAT, uintptr(unsafe.Pointer(p)), uintptr(dir), uintptr(unsafe.Pointer(q))); errno != 0 {
		return errno
	}
	return nil
}

// Remove removes the file name from the directory dir.
func Remove(dir int, name string) error {
	p, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(p)), 0); errno != 0 {
		return errno
	}
	return nil
}
