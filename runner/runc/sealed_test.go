// SPDX-License-Identifier: Apache-2.0

package runc

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
	t.Parallel()
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "runc")
	if err := os.WriteFile(path, shell, 0o700); err != nil {
		t.Fatal(err)
	}
	r := Runtime{Command: path}.Sealed()
	if r.sealed == nil {
		t.Skip("SELinux")
	}
	copied := r.sealed()
	fd, err := strconv.Atoi(strings.TrimPrefix(copied, "/proc/self/fd/"))
	if err != nil {
		t.Fatalf("%s is the program itself", copied)
	}
	if fd < farAway {
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
	if again := r.sealed(); again != copied {
		t.Errorf("copied twice: %s, %s", copied, again)
	}
}

// TestNotSealed is what is executed as it is.
func TestNotSealed(t *testing.T) {
	t.Parallel()
	if r := (Runtime{Command: "/usr/bin/crun"}).Sealed(); r.sealed != nil {
		t.Error("crun has ways of its own")
	}
	missing := filepath.Join(t.TempDir(), "runc")
	if r := (Runtime{Command: missing}).Sealed(); r.sealed != nil && r.sealed() != missing {
		t.Error("a program that is not there")
	}
}
