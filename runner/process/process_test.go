// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAProcessIsNotMistakenForALaterOne(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid, ticks := cmd.Process.Pid, StartTicks(cmd.Process.Pid)
	if ticks == 0 || !Alive(pid, ticks) || !Alive(pid, 0) || Alive(pid, ticks+1) {
		t.Errorf("pid %d started at %d", pid, ticks)
	}
	if p, err := Open(pid, ticks+1); p != nil || err != nil {
		t.Errorf("opened a process of another start: %v", err)
	}
	if err := End(pid, ticks, unix.SIGTERM, 5*time.Second); err != nil {
		t.Error(err)
	}
	if Alive(pid, ticks) {
		t.Error("a zombie passes for alive")
	}
	if err := End(pid, ticks, unix.SIGTERM, time.Second); err != nil {
		t.Errorf("ending what has ended: %v", err)
	}
}
