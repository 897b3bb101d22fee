// SPDX-License-Identifier: Apache-2.0

package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestACopyIsToldOf: as long as something is written, the start gets more time.
func TestACopyIsToldOf(t *testing.T) {
	w := newWorld(t)
	manager := w.inService("web.service")
	told := make(chan string, 1)
	err := w.copying("localhost/big", func() error {
		// A child as the storage has one, and beside it what another start writes. It alone makes
		// the file: once it has ended, nothing is in the way of the directory's removal.
		child := exec.Command("sh", "-c", "while printf %65536s x >>file; do sync file; sleep 0.05; done")
		child.Dir = w.store.root
		if err := child.Start(); err != nil {
			return err
		}
		defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
		if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		message := make([]byte, 4096)
		n, err := manager.Read(message)
		told <- string(message[:n])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-told; !strings.Contains(got, "EXTEND_TIMEOUT_USEC=90000000") || !strings.HasPrefix(got, "STATUS=copying localhost/big for its user namespace: ") && !strings.HasPrefix(got, "STATUS=waiting for the storage") {
		t.Errorf("the manager was told %q", got)
	}
}

func TestHowFarACopyIs(t *testing.T) {
	var c copied
	for i, look := range []struct {
		written, used  uint64
		ours, somebody bool
	}{
		{0, 500, false, false}, // the first look at the file system
		{0, 500, false, false}, // nothing moves: the start's own time runs on
		{0, 501, false, true},
		{10, 501, true, false},
		{10, 501, false, false},
		{0, 400, false, false}, // the child has ended
		{20, 400, true, false},
	} {
		if ours, somebody := c.next(look.written, look.used); ours != look.ours || somebody != look.somebody {
			t.Errorf("look %d: %t, %t", i+1, ours, somebody)
		}
	}
	more := 0
	for i := range uint64(2 * othersLooks) {
		if _, somebody := c.next(0, 1000+i); somebody {
			more++
		}
	}
	if more == 0 || more > othersLooks {
		t.Errorf("a disk that fills without end gives more time %d times", more)
	}
	if ours, _ := c.next(30, 0); !ours {
		t.Error("a copy of our own gives no more time then")
	}
}

// TestWritten counts what a child's child writes, as that of the storage is one of ours.
func TestWritten(t *testing.T) {
	// What goes to a tmpfs is not counted, and /tmp may be one; this place outlives a boot.
	dir, err := os.MkdirTemp("/var/tmp", "podunit-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	before := written()
	child := exec.Command("sh", "-c", "dd if=/dev/zero of=f bs=64k count=16 conv=fsync 2>/dev/null; touch done; exec sleep 1000")
	child.Dir = dir
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing was written in a minute")
		}
	}
	if got := written() - before; got < 1<<20 {
		t.Errorf("%d bytes", got)
	}
}
