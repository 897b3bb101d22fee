// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/network/netavark/netavarktest"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// TestLostBeforeItIsNoted: the namespace of a user's networks is lost, and made again, when a pod is
// connected and its process is about to be noted, so that whoever makes it again does not see the
// pod.
func TestLostBeforeItIsNoted(t *testing.T) {
	named := netavarktest.New(t)
	e, _, r, _ := running(t)
	dir := e.Dir(r.ID)
	n, err := network.Start(t.Context(), network.Request{
		Network: spec.Network{Mode: spec.NetBridge}, Dir: dir, Files: dir, Config: named.Config,
		Bridge: &network.Bridge{Store: named.Store, Connection: named.Connection(r.ID), Servers: named.Servers()},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	note, err := os.Create(e.statusPath(r) + ".new")
	if err != nil {
		t.Fatal(err)
	}
	defer note.Close()
	if err := unix.Flock(int(note.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- (&start{Engine: e, pod: r, dir: dir, files: dir, network: n}).connect(t.Context()) }()
	// It waits for the lock of the note.
	for opened := 0; opened < 2; time.Sleep(time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("it has not waited: %v", err)
		default:
		}
		opened = 0
		files, _ := filepath.Glob("/proc/self/fd/*")
		for _, f := range files {
			if path, _ := os.Readlink(f); path == note.Name() {
				opened++
			}
		}
	}
	named.Lose()
	if err := note.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := named.Setups(); got != 2 {
		t.Errorf("connected %d times, want twice", got)
	}
}
