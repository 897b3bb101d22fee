// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"syscall"

	"github.com/podunit/podunit/generator/rawfs"
	"github.com/podunit/podunit/generator/unitfile"
)

// What Read refuses, beside the errors of the system.
var (
	errDirectory = errors.New("is a directory")
	errSpecial   = errors.New("is not a regular file")
)

// Read returns the content of a regular file, up to one byte more than a unit file may have;
// /dev/null is an empty file. It never waits: a FIFO given a unit's name must not stop the boot.
func Read(path string) ([]byte, error) {
	data, _, err := read(path)
	return data, err
}

// read is Read that also returns which permissions of reading others do not have.
func read(path string) (data []byte, hidden uint32, err error) {
	fd, err := retry(func() (int, error) {
		return syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
	})
	if err != nil {
		return nil, 0, err
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, 0, err
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
	case syscall.S_IFDIR:
		return nil, 0, errDirectory
	case syscall.S_IFCHR:
		if st.Rdev == 1<<8|3 { // /dev/null: Documentation/admin-guide/devices.txt
			return nil, 0, nil
		}
		return nil, 0, errSpecial
	default:
		return nil, 0, errSpecial
	}
	size := min(st.Size, unitfile.MaxSize)
	buf := make([]byte, 0, size+1)
	for {
		n, err := retry(func() (int, error) { return syscall.Read(fd, buf[len(buf):cap(buf)]) })
		if err != nil {
			return nil, 0, err
		}
		buf = buf[:len(buf)+n]
		if n == 0 || len(buf) > unitfile.MaxSize {
			return buf, hide(st.Mode), nil
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// small is a buffer that most unit files fit into.
const small = 4096

// readRegular is Read for what the directory says is a regular file, with as few calls to the
// kernel as can be: there may be thousands of files, and the boot waits.
func readRegular(path string, buf *[small]byte) (text string, hidden uint32, err error) {
	fd, err := rawfs.Open(rawfs.Here, path, syscall.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return slow(path)
	}
	mode, err := rawfs.Mode(fd)
	n := 0
	if err == nil {
		n, err = rawfs.Read(fd, buf[:])
	}
	_ = rawfs.Close(fd) // it was only read
	if err != nil || n == small {
		return slow(path) // interrupted, larger, or something else by now
	}
	return string(buf[:n]), hide(mode), nil
}

func slow(path string) (string, uint32, error) {
	data, hidden, err := read(path)
	return string(data), hidden, err
}

// hide is the read permissions of group and others that a mode does not have. The unit must not
// have them either.
func hide(mode uint32) uint32 { return ^mode & 0o044 }

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
