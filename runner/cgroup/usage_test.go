// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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
	survey := tree(root).survey()
	if _, err := survey.Open("app.slice/gone.service"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a cgroup that is gone: %v", err)
	}
	if _, err := survey.Open(""); !errors.Is(err, ErrNoCgroup) {
		t.Errorf("no cgroup: %v", err)
	}
	m, err := survey.Open("/app.slice/web.service/payload")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := survey.Usage(m); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a cgroup without files: %v", err)
	}
	write(payload+"cpu.stat", "usage_usec 1500000\nuser_usec 1000000\n")
	write(payload+"cgroup.procs", "1\n2\n")
	got, err := survey.Usage(m)
	if want := (Usage{CPU: 1500 * time.Millisecond, PIDs: 2}); err != nil || got != want {
		t.Errorf("without controllers %+v, %v; want %+v", got, err, want)
	}
	// The files that are open tell what is true now, and those that were missing are found.
	write(payload+"cpu.stat", strings.Repeat("some 1\n", 2000)+"usage_usec 1600000\n")
	write(payload+"memory.current", "1048576\n")
	write(payload+"memory.max", "max\n")
	write("app.slice/web.service/memory.max", "8388608\n")
	write("app.slice/memory.max", "16777216\n")
	write(payload+"pids.current", "7\n")
	write(payload+"io.stat", "8:0 rbytes=100 wbytes=20 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n")
	survey.Begin()
	got, err = survey.Usage(m)
	want := Usage{CPU: 1600 * time.Millisecond, Memory: 1 << 20, MemoryLimit: 8 << 20, PIDs: 7, Read: 101, Written: 22}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, limit := range []struct {
		path, text string
		want       uint64
	}{{"app.slice/", "4096\n", 4096}, {payload, "2048\n", 2048}, {"app.slice/web.service/", "1024\n", 1024}, {payload, "max\n", 1024}} {
		write(limit.path+"memory.max", limit.text)
		survey.Begin()
		if got, err = survey.Usage(m); err != nil || got.MemoryLimit != limit.want {
			t.Errorf("a limit of %s: %d, %v; want %d", limit.path, got.MemoryLimit, err, limit.want)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(payload+"pids.current", "0\n")
	write(payload+"below/cgroup.procs", "3\n")
	if got, err = survey.Usage(m); err != nil || got.PIDs != 3 {
		t.Errorf("%d processes with those below, %v; want 3", got.PIDs, err)
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
