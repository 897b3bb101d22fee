// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"syscall"
	"unsafe"

	"github.com/podunit/podunit/generator/unitfile"
)

// What Read refuses, beside the errors of the system.
var (
	errDirectory = errors.New("is a directory")
	errSpecial   = errors.New("is not a regular file")
)

// Read returns the content of a regular file, up to one byte more than a unit file may have; /dev/null is an empty
// file. It never waits: a FIFO given a unit's name must not stop the boot.
func Read(path string) ([]byte, error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
	})
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
	case syscall.S_IFDIR:
		return nil, errDirectory
	case syscall.S_IFCHR:
		if st.Rdev == 1<<8|3 { // /dev/null: Documentation/admin-guide/devices.txt
			return nil, nil
		}
		return nil, errSpecial
	default:
		return nil, errSpecial
	}
	size := min(st.Size, unitfile.MaxSize)
	buf := make([]byte, 0, size+1)
	for {
		n, err := retry(func() (int, error) { return syscall.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return nil, err
		}
		buf = buf[:len(buf)+n]
		if n == 0 || len(buf) > unitfile.MaxSize {
			return buf, nil
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// small is a buffer that most unit files fit into.
const small = 4096

// readRegular is Read for what the directory says is a regular file, with as few calls to the kernel as can be: there
// may be thousands of files, and the boot waits. Raw calls spare the Go scheduler, which has nothing else to run; the
// files are a few lines each.
func readRegular(path string, buf *[small]byte) (text string, err error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return "", err
	}
	const flags = syscall.O_RDONLY | syscall.O_NONBLOCK | syscall.O_CLOEXEC | syscall.O_NOCTTY | syscall.O_NOFOLLOW
	const here = ^uintptr(99) // AT_FDCWD, -100: paths are absolute
	fd, _, errno := syscall.RawSyscall6(syscall.SYS_OPENAT, here, uintptr(unsafe.Pointer(name)), flags, 0, 0, 0)
	if errno != 0 {
		return slow(path)
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(buf)), small)
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	if errno != 0 || n == small {
		return slow(path) // interrupted, larger, or something else by now
	}
	return string(buf[:n]), nil
}

func slow(path string) (string, error) {
	data, err := Read(path)
	return string(data), err
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
