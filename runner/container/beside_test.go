// SPDX-License-Identifier: Apache-2.0

package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/process"
)

// TestStatusKnowsWhoGoesOn names the guard of a helper that was killed: a stop waits for it.
func TestStatusKnowsWhoGoesOn(t *testing.T) {
	e := &Engine{RunDir: t.TempDir()}
	id := NewID()
	if err := os.MkdirAll(e.dir(id), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := e.saveStatus(id, Status{LogPID: 1 << 30, LogTicks: 7}); err != nil {
		t.Fatal(err)
	}
	s, err := e.Status(id)
	if err != nil || s.LogPID != 1<<30 || s.LogTicks != 7 {
		t.Errorf("before: %d, %d, %v", s.LogPID, s.LogTicks, err)
	}
	// As log.c writes it.
	if err := os.WriteFile(filepath.Join(e.dir(id), successorName), fmt.Appendf(nil, "%7d\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = e.Status(id)
	if err != nil || s.LogPID != os.Getpid() || s.LogTicks != process.StartTicks(os.Getpid()) {
		t.Errorf("after: %d, %d, %v", s.LogPID, s.LogTicks, err)
	}
}

// TestFilesOfAContainerLieOnTheDisk and not in the runtime directory, whose memory is the user's.
func TestFilesOfAContainerLieOnTheDisk(t *testing.T) {
	e := &Engine{RunDir: t.TempDir(), Store: nowhere{root: t.TempDir()}}
	id := NewID()
	if err := e.makeDirs(id); err != nil {
		t.Fatal(err)
	}
	if dir := e.Files(id); !strings.HasPrefix(dir, e.Store.GraphRoot()+"/") || strings.HasPrefix(dir, e.RunDir) {
		t.Errorf("they lie in %s", dir)
	}
	if st, err := os.Stat(e.Files(id)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", st, err)
	}
}
