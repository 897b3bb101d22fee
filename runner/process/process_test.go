// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

// TestHowAProcessEndedIsKnown to others than its parent, once that has asked.
func TestHowAProcessEndedIsKnown(t *testing.T) {
	for script, want := range map[string]int{"read x; exit 7": 7, "read x; kill -KILL $$": 128 + 9, "read x; exit 0": 0} {
		cmd := exec.Command("sh", "-c", script)
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(cmd.Process.Pid, 0)
		if p == nil || err != nil {
			t.Fatalf("cannot open it: %v", err)
		}
		defer p.Close()
		if code, known := p.Code(0); known {
			t.Errorf("%s: it runs, and has ended with %d", script, code)
		}
		in.Close()
		if !p.Wait(context.Background(), time.Minute) {
			t.Fatalf("%s: it does not end", script)
		}
		if code, known := p.Code(0); known {
			t.Errorf("%s: its parent has not asked, and it has ended with %d", script, code)
		}
		asked := make(chan struct{})
		go func() { defer close(asked); _ = cmd.Wait() }()
		code, known := p.Code(time.Minute)
		<-asked
		if !known && older(t, 6, 15) {
			t.Skip("before Linux 6.15 only the parent knows")
		}
		if code != want || !known {
			t.Errorf("%s: got %d, %v", script, code, known)
		}
	}
	if _, known := (*Process)(nil).Code(time.Minute); known {
		t.Error("it knows how nobody ended")
	}
}

// older reports whether this kernel is older than a release.
func older(t *testing.T, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var has, hasMinor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &has, &hasMinor); err != nil {
		t.Fatal(err)
	}
	return has < major || has == major && hasMinor < minor
}

// TestKillGroup: of one that runs, with its children, and of one that has just ended by itself, which
// os/exec must not take for one that was cancelled.
func TestKillGroup(t *testing.T) {
	start := func(script string) (*exec.Cmd, *bufio.Reader) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
		out, err := cmd.StdoutPipe()
		if err := errors.Join(err, cmd.Start()); err != nil {
			t.Fatal(err)
		}
		return cmd, bufio.NewReader(out)
	}
	runs, out := start("sleep 600 & echo begun; wait")
	if line, err := out.ReadString('\n'); err != nil || line != "begun\n" {
		t.Fatal(line, err)
	}
	if err := KillGroup(runs); err != nil {
		t.Error(err)
	}
	if _, err := out.ReadString('\n'); err != io.EOF { // the child has it, too
		t.Error(err)
	}
	if err := runs.Wait(); err == nil {
		t.Error("it has ended well")
	}
	ended, _ := start("exit 0")
	if err := ended.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := KillGroup(ended); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("of one that has ended: %v", err)
	}
}
