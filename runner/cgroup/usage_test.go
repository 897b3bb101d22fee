// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestUsed(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "app.slice", "web.service", "payload")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const payload = "app.slice/web.service/payload/"
	if _, err := tree(root).used("app.slice/gone.service", Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a cgroup that is gone: %v", err)
	}
	if _, err := tree(root).used("", Limits{}); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("no cgroup: %v", err)
	}
	write(payload+"cpu.stat", "usage_usec 1500000\nuser_usec 1000000\n")
	write(payload+"cgroup.procs", "1\n2\n")
	got, err := tree(root).used("/app.slice/web.service/payload", Limits{})
	if want := (Usage{CPU: 1500 * time.Millisecond, PIDs: 2}); err != nil || got != want {
		t.Errorf("without controllers %+v, %v; want %+v", got, err, want)
	}
	write(payload+"memory.current", "1048576\n")
	write(payload+"memory.max", "max\n")
	write("app.slice/web.service/memory.max", "8388608\n")
	write("app.slice/memory.max", "16777216\n")
	write(payload+"pids.current", "7\n")
	write(payload+"io.stat", "8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n")
	got, err = tree(root).used("/app.slice/web.service/payload", Limits{})
	want := Usage{CPU: 1500 * time.Millisecond, Memory: 1 << 20, MemoryLimit: 8 << 20, PIDs: 7, Read: 101, Written: 22}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestFreezeOfNothing(t *testing.T) {
	if err := tree(t.TempDir()).freeze(t.Context(), "gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := tree(t.TempDir()).freeze(t.Context(), ""); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("%v", err)
	}
}
