// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSeal executes a program from a sealed copy of it.
func TestSeal(t *testing.T) {
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Skip("with SELinux nothing is sealed")
	}
	program, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	file := seal(path)
	fd, err := strconv.Atoi(strings.TrimPrefix(file, "/proc/self/fd/"))
	if err != nil {
		t.Fatalf("%s is the program itself", file)
	}
	defer unix.Close(fd)
	if fd < farAway {
		t.Errorf("descriptor %d is where Go moves the streams between fork and exec", fd)
	}
	if got, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || got != allSeals {
		t.Errorf("seals %x, %v", got, err)
	}
	if _, err := unix.Write(fd, []byte("x")); !errors.Is(err, unix.EPERM) {
		t.Errorf("written to: %v", err)
	}
	cmd := exec.Command("runc")
	cmd.Path, cmd.Err = file, nil
	cmd.Args = []string{"runc", "/proc/self/exe"}
	if out, err := cmd.Output(); err != nil || string(out) != string(content) {
		t.Errorf("it runs from %d bytes, want %d: %v", len(out), len(content), err)
	}
}

// TestSealLater seals a file that something else holds at first: a mapping that may be written to
// does so for as long as we want, and the kernel refuses as it does for a page that it moves.
func TestSealLater(t *testing.T) {
	fd, err := unix.MemfdCreate("held", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 4096); err != nil {
		t.Fatal(err)
	}
	held, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, allSeals); !errors.Is(err, unix.EBUSY) {
		t.Fatalf("the kernel says %v", err)
	}
	sealed := make(chan error)
	go func() { sealed <- addSeals(fd) }()
	time.Sleep(50 * time.Millisecond)
	if err := unix.Munmap(held); err != nil {
		t.Fatal(err)
	}
	if err := <-sealed; err != nil {
		t.Error(err)
	}
}

// TestNotSealed is what is executed as it is.
func TestNotSealed(t *testing.T) {
	script := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/bin/sh", filepath.Join(t.TempDir(), "runc"), t.TempDir(), script} {
		if got := seal(path); got != path {
			t.Errorf("%s: %s", path, got)
		}
	}
}
