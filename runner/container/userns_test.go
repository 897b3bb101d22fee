// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/podunit/podunit/runner/process"
)

// TestWhatEntersANamespace has nothing of our environment, which could be read by whom the namespace
// belongs to, and does not begin in a start that is given up.
func TestWhatEntersANamespace(t *testing.T) {
	other := exec.Command("sleep", "600")
	other.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := other.Start(); errors.Is(err, syscall.EPERM) && os.Getuid() != 0 {
		t.Skipf("no user namespace can be made: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	path := process.Namespace(other.Process.Pid, "user")

	program := filepath.Join(t.TempDir(), "nsenter") // it enters nothing
	if err := os.WriteFile(program, []byte("#!/bin/sh\nenv >\"$0.env\"\nexec cat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(program)+":"+os.Getenv("PATH"))
	t.Setenv("PASSWORD", "secret")
	if _, _, err := mappingsAt(context.Background(), path); err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(program + ".env")
	if err != nil || !strings.Contains(string(env), "PATH="+filepath.Dir(program)) || strings.Contains(string(env), "PASSWORD") {
		t.Errorf("it has %s, %v", env, err)
	}
	ctx, giveUp := context.WithCancel(context.Background())
	giveUp()
	if _, _, err := mappingsAt(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}
