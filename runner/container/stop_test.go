// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/process"
)

// TestStopOfWhatHasEnded waits for the log copier and takes the network down: what is left then,
// systemd kills. It does neither while somebody else is at work on the container.
func TestStopOfWhatHasEnded(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	r := Record{ID: NewID(), Name: "web"}
	netns := filepath.Join(e.Dir(r.ID), "netns")
	if err := errors.Join(os.MkdirAll(e.Dir(r.ID), 0o700), os.WriteFile(netns, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	ended, copier := exec.Command("true"), exec.Command("sleep", "0.3")
	if err := errors.Join(ended.Run(), copier.Start()); err != nil {
		t.Fatal(err)
	}
	pid := copier.Process.Pid
	defer func() { _ = copier.Wait() }()
	err := e.saveStatus(r.ID, Status{PID: ended.Process.Pid, StartTicks: 1, LogPID: pid, LogTicks: process.StartTicks(pid)})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := e.Lock(context.Background(), r.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Stop(context.Background(), r, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(netns); err != nil {
		t.Errorf("the network of who holds the lock is gone: %v", err)
	}
	lock.Release()
	if err := e.Stop(context.Background(), r, time.Second); err != nil {
		t.Fatal(err)
	}
	if !process.HasEnded(pid) {
		t.Error("the log copier is still at work")
	}
	if _, err := os.Stat(netns); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the network is left: %v", err)
	}
}
