// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// probe tells how it was loaded, and executes itself as runc does.
const probe = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static char zeros[300000];
static char *volatile text = "text";
static _Thread_local int local = 47;

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof zeros; i++)
		if (zeros[i])
			return 1;
	memset(zeros, 1, sizeof zeros);
	free(malloc(1 << 20));
	if (argc == 2 && !strcmp(argv[1], "init")) {
		const int seals = fcntl(open("/proc/self/exe", O_RDONLY), F_GET_SEALS);
		printf("%s %s %s %d %.0f %d %d\n", argv[0], getenv("PROBE"), text, local, sqrt(argc * 8), seals, open("/proc/self/exe", O_WRONLY));
		return getauxval(AT_ENTRY) && getauxval(AT_PAGESZ) == (unsigned long)sysconf(_SC_PAGESIZE) ? 0 : 2;
	}
	execl("/proc/self/exe", argv[0], "init", NULL);
	return 3;
}
`

// needSealing skips a test where SELinux is: it looks at the label of the file, so that runc is
// executed as it is, and nothing is sealed that could be tested.
func needSealing(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Skip("with SELinux nothing is sealed")
	}
}

// sealed makes the file for a program called runc, and checks what is true of all of them.
func sealed(t *testing.T, path string) (file string, size int) {
	t.Helper()
	file = Sealed(path, true)
	fd, err := strconv.Atoi(strings.TrimPrefix(file, "/proc/self/fd/"))
	if err != nil {
		t.Fatalf("%s is the program itself", file)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if fd < 56 {
		t.Errorf("descriptor %d is where Go moves the streams between fork and exec", fd)
	}
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPERM {
		t.Errorf("written to: %v", err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, len(content)
}

// TestSealed executes programs of every make from sealed files.
func TestSealed(t *testing.T) {
	needSealing(t)
	source := filepath.Join(t.TempDir(), "probe.c")
	if err := os.WriteFile(source, []byte(probe), 0o600); err != nil {
		t.Fatal(err)
	}
	const small = 8192
	for name, c := range map[string]struct {
		flags []string
		small bool
	}{
		"anywhere":                       {[]string{"-fPIE", "-pie"}, true},
		"at its addresses":               {[]string{"-fno-PIE", "-no-pie"}, true},
		"without an interpreter":         {[]string{"-static", "-fno-PIE", "-no-pie"}, true},
		"anywhere, without one":          {[]string{"-static-pie", "-fPIE"}, true},
		"in large steps":                 {[]string{"-fPIE", "-pie", "-Wl,-z,max-page-size=0x200000"}, true},
		"in the smallest file":           {[]string{"-fPIE", "-pie", "-Wl,-z,noseparate-code", "-s"}, true},
		"with a stack for code (copied)": {[]string{"-fPIE", "-pie", "-z", "execstack"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "runc")
			if out, err := exec.Command("cc", append(c.flags, "-o", path, source, "-lm")...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			file, size := sealed(t, path)
			if isSmall := size < small; isSmall != (c.small && hasLoader) {
				t.Errorf("%d bytes", size)
			}
			cmd := exec.Cmd{Path: file, Args: []string{"first", "one", "two"}, Env: []string{"PROBE=here"}}
			const want = "first here text 47 4 15 -1\n"
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
				t.Errorf("%v, %q, want %q", err, out, want)
			}
		})
	}
}

// TestSealedOfAll has programs of this machine tell their versions, or what they say to no
// command.
func TestSealedOfAll(t *testing.T) {
	needSealing(t)
	for _, name := range []string{"go", "cc", "sh", "git", "runc", "crun"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		path := filepath.Join(t.TempDir(), "runc")
		if err := os.Symlink(program, path); err != nil {
			t.Fatal(err)
		}
		file, _ := sealed(t, path)
		var outputs []string
		for _, run := range []string{program, file} {
			cmd := exec.Command(program, "--version")
			cmd.Path = run
			out, _ := cmd.CombinedOutput() // not all know the flag
			outputs = append(outputs, fmt.Sprintf("%v\n%s", cmd.ProcessState, out))
		}
		if outputs[0] != outputs[1] {
			t.Errorf("%s says\n%s\nand from the sealed file\n%s", program, outputs[0], outputs[1])
		}
	}
}

// TestSealedForRoot copies, since there a container may reach what a loader maps.
func TestSealedForRoot(t *testing.T) {
	needSealing(t)
	path := filepath.Join(t.TempDir(), "runc")
	shell := copyOf(t, "/bin/sh", path)
	file := Sealed(path, false)
	if file == path {
		t.Fatalf("%s is the program itself", file)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != shell {
		t.Errorf("%d bytes of %d were copied: %v", len(got), len(shell), err)
	}
}

func copyOf(t *testing.T, from, to string) string {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestSealedIsOfThatFile executes no other one that has taken its place since.
func TestSealedIsOfThatFile(t *testing.T) {
	needSealing(t)
	if !hasLoader {
		t.Skip("this machine or the compiler has no loader; the copy that is executed instead needs no file")
	}
	for name, change := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { copyOf(t, "/bin/sh", path+".new"); return os.Rename(path+".new", path) },
		"written to": func(path string) error {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0x7f}, 0)
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "runc")
			copyOf(t, "/bin/sh", path)
			file, _ := sealed(t, path)
			time.Sleep(20 * time.Millisecond) // the file's time has the kernel's ticks
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Cmd{Path: file, Args: []string{"runc", "-c", "true"}}
			if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 126 || !strings.HasPrefix(string(out), "podunit: runc was replaced") {
				t.Errorf("status %d, %q", cmd.ProcessState.ExitCode(), out)
			}
		})
	}
}

// TestNotSealed is what is executed as it is.
func TestNotSealed(t *testing.T) {
	script := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/bin/crun", filepath.Join(t.TempDir(), "runc"), t.TempDir() + "/runc/", script} {
		if got := Sealed(path, true); got != path {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestLeave removes whom nobody can join any more, also while a parent has yet to notice.
func TestLeave(t *testing.T) {
	i := Identity{UID: 1000, RunDir: t.TempDir(), Entered: true}
	dir := filepath.Dir(i.entry(0))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone, zombie, alive := exec.Command("true"), exec.Command("true"), exec.Command("sleep", "60")
	if err := errors.Join(gone.Run(), zombie.Start(), alive.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = alive.Process.Kill(); _ = alive.Wait(); _ = zombie.Wait() }()
	if err := unix.Waitid(unix.P_PID, zombie.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{os.Getpid(), gone.Process.Pid, zombie.Process.Pid, alive.Process.Pid} {
		if err := i.Keep(pid); err != nil {
			t.Fatal(err)
		}
	}
	i.Leave()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{strconv.Itoa(alive.Process.Pid), "lock"}; !slices.Equal(left, want) {
		t.Errorf("left %q, want %q", left, want)
	}
}

// TestKeepWaits writes the list of who holds the namespace under its lock: who holds that
// would take a half-written entry for a dead one's and remove it.
func TestKeepWaits(t *testing.T) {
	i := Identity{UID: 1000, RunDir: t.TempDir(), Entered: true}
	dir := filepath.Dir(i.entry(0))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	var kept atomic.Bool
	done := make(chan error)
	go func() {
		err := i.Keep(os.Getpid())
		kept.Store(true)
		done <- err
	}()
	time.Sleep(20 * time.Millisecond) // it waits for the lock, or has done what it should not
	if _, err := os.Stat(i.entry(os.Getpid())); err == nil || kept.Load() {
		t.Error("written while somebody else holds the lock")
	}
	lock.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(i.entry(os.Getpid())); err != nil || string(b) != "0\n" {
		t.Errorf("%q, %v", b, err)
	}
}
