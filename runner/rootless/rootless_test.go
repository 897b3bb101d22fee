// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSealed executes the copy, and tries to change it.
func TestSealed(t *testing.T) {
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Skip("SELinux looks at the label of the file, so that there is no copy")
	}
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(path, shell, 0o700); err != nil {
		t.Fatal(err)
	}
	copied := Sealed(path)
	fd, err := strconv.Atoi(strings.TrimPrefix(copied, "/proc/self/fd/"))
	if err != nil {
		t.Fatalf("%s is the program itself", copied)
	}
	defer unix.Close(fd)
	if fd < 56 {
		t.Errorf("descriptor %d is where Go moves the streams between fork and exec", fd)
	}
	cmd := exec.Command(path, "-c", "readlink /proc/self/exe; readlink /proc/$$/exe")
	cmd.Path = copied
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "memfd:runc") {
		t.Errorf("%v, %s", err, out)
	}
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPERM {
		t.Errorf("written to: %v", err)
	}
	if now, err := os.ReadFile(copied); err != nil || string(now) != string(shell) {
		t.Errorf("%d bytes of %d were copied: %v", len(now), len(shell), err)
	}
}

// TestNotSealed is what is executed as it is.
func TestNotSealed(t *testing.T) {
	for _, path := range []string{"/usr/bin/crun", filepath.Join(t.TempDir(), "runc"), t.TempDir() + "/runc/"} {
		if got := Sealed(path); got != path {
			t.Errorf("%s: %s", path, got)
		}
	}
}
