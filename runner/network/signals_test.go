// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWithoutSignals sends what a program would end of, and what systemctl kill may send.
func TestWithoutSignals(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := withoutSignals(cmd.Start); err != nil {
		t.Fatal(err)
	}
	for _, sig := range []unix.Signal{unix.SIGQUIT, unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM} {
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatalf("%s has ended it: %v", sig, err)
		}
	}
	// pasta has a handler, which takes leave of its children.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	_, line, _ := strings.Cut(string(status), "SigBlk:\t")
	blocked, perr := strconv.ParseUint(strings.SplitN(line, "\n", 2)[0], 16, 64)
	if err := errors.Join(err, perr); err != nil || blocked&(1<<(unix.SIGCHLD-1)) != 0 || blocked&(1<<(unix.SIGQUIT-1)) == 0 {
		t.Errorf("it blocks %x, %v", blocked, err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // with that signal
	if ws, ok := cmd.ProcessState.Sys().(interface{ Signal() unix.Signal }); !ok || ws.Signal() != unix.SIGTERM {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	// Others are as they were.
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = other.Wait() // with that signal
		close(ended)
	}()
	if err := other.Process.Signal(unix.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		_ = other.Process.Kill()
		t.Error("a program that is started later is deaf as well")
	}
}
