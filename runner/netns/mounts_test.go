// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// in starts a shell in new namespaces, waits until the script has written
// "ready", and returns its process ID.
func in(t *testing.T, script string, flags uintptr) int {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	cmd := exec.Command("sh", "-c", script+"; echo ready; read wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: flags, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("needs new namespaces: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // the shell ends as its input does
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd.Process.Pid
}

func unmounted(t *testing.T, target string) {
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", target, err)
		}
	})
}

func TestSysfs(t *testing.T) {
	pid := in(t, "true", syscall.CLONE_NEWNET)
	dir := t.TempDir()
	if err := Sysfs("/proc/"+strconv.Itoa(pid)+"/ns/net", dir); err != nil {
		t.Fatal(err)
	}
	unmounted(t, dir)
	devices, err := os.ReadDir(filepath.Join(dir, "class/net"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range devices {
		if d.Name() != "lo" && !strings.Contains(d.Name(), "tunl") && !strings.Contains(d.Name(), "sit") {
			t.Errorf("%s is not a device of a new network namespace", d.Name())
		}
	}
	if err := Sysfs(filepath.Join(dir, "nowhere"), dir); err == nil {
		t.Error("no network namespace is no error")
	}
}

// TestInside starts a program in another process's namespaces, and comes back.
func TestInside(t *testing.T) {
	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	pid := in(t, "hostname other", unix.CLONE_NEWUTS|unix.CLONE_NEWIPC)
	var said []byte
	ns := fmt.Sprintf("/proc/%d/ns/", pid)
	err = Inside([]string{ns + "uts", ns + "ipc"}, func() (err error) {
		said, err = exec.Command("hostname").Output()
		return err
	})
	if err != nil || string(said) != "other\n" {
		t.Errorf("%q, %v", said, err)
	}
	if after, err := os.Hostname(); err != nil || after != before {
		t.Errorf("our host name is %q, %v", after, err)
	}
	if err := Inside([]string{"/nonexistent"}, func() error { t.Error("it runs elsewhere"); return nil }); err == nil {
		t.Error("no error of a namespace that is not there")
	}
}

func TestTree(t *testing.T) {
	theirs, ours := t.TempDir(), t.TempDir()
	pid := in(t, "mount --make-rprivate / && mount -t tmpfs -o size=1m theirs "+theirs+" && echo hello >"+theirs+"/f", syscall.CLONE_NEWNS)
	if _, err := os.Stat(filepath.Join(theirs, "f")); err == nil {
		t.Fatal("the mount is seen outside, so it shows nothing")
	}
	if err := Tree(pid, theirs, ours); err != nil {
		t.Fatal(err)
	}
	unmounted(t, ours)
	if data, err := os.ReadFile(filepath.Join(ours, "f")); err != nil || string(data) != "hello\n" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := os.WriteFile(filepath.Join(ours, "big"), make([]byte, 2<<20), 0o600); err == nil {
		t.Error("it is not their tmpfs of 1 MiB")
	}
	// The process is where it was.
	if _, err := os.Stat(ours); err != nil {
		t.Error(err)
	}
	if err := Tree(pid, filepath.Join(theirs, "nowhere"), ours); err == nil {
		t.Error("a path that is not there is no error")
	}
}
