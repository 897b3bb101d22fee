// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

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
