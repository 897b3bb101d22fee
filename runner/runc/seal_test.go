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
