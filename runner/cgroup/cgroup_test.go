// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// v2 is where this machine has a cgroup v2 hierarchy that may be written to.
func v2(t *testing.T) string {
	t.Helper()
	for _, root := range []string{string(machine), string(machine) + "/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(root, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC && unix.Access(root, unix.W_OK) == nil {
			return root
		}
	}
	t.Skip("needs a writable cgroup v2 hierarchy: run as root")
	return ""
}

func TestSplit(t *testing.T) {
	root := v2(t)
	unitCgroup := fmt.Sprintf("/podunit-test-%d.service", os.Getpid())
	dir := root + unitCgroup
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	tree := tree(root)
	t.Cleanup(func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
		if err := tree.clear(context.Background(), unitCgroup, 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	move := func(to string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), fmt.Append(nil, sleep.Process.Pid), 0); err != nil {
			t.Fatal(err)
		}
	}
	move(dir)
	// What a run before may have left: an empty payload with a tree of its own.
	if err := os.MkdirAll(dir+"/payload/inner/deep", 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		s, err := tree.split(unitCgroup, "payload")
		if err != nil {
			t.Fatal(err)
		}
		if s.Cgroup != unitCgroup+"/payload" {
			t.Errorf("payload at %s", s.Cgroup)
		}
		where := dir
		if len(s.Controllers) > 0 {
			where += "/runtime"
		}
		if pids, err := readPIDs(where); err != nil || !slices.Equal(pids, []int{sleep.Process.Pid}) {
			t.Errorf("in %s: %v, %v", where, pids, err)
		}
		if _, err := os.Stat(dir + "/payload"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the old payload is still there: %v", err)
		}
	}
	// A payload that is alive must not be taken for a remainder.
	if err := os.Mkdir(dir+"/payload", 0o755); err != nil {
		t.Fatal(err)
	}
	move(dir + "/payload")
	_, err := tree.split(unitCgroup, "payload")
	var busy BusyError
	if !errors.As(err, &busy) || !slices.Equal(busy.PIDs, []int{sleep.Process.Pid}) {
		t.Errorf("a live payload gives %v", err)
	}
}

func TestSplitOfAForeignCgroup(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may divide any cgroup")
	}
	_, err := tree(t.TempDir()).split("/absent.service", "payload")
	if err == nil || !strings.Contains(err.Error(), "/absent.service") {
		t.Errorf("got %v", err)
	}
}

// TestClear ends and removes cgroups that a container has made of its own, and what is in them.
func TestClear(t *testing.T) {
	tree := tree(v2(t))
	cgroup := fmt.Sprintf("/podunit-test-clear-%d", os.Getpid())
	inner := tree.path(cgroup) + "/init.scope/deep"
	if err := os.MkdirAll(inner, 0o755); err != nil {
		t.Skipf("cannot make a cgroup: %v", err)
	}
	if tree.populated(cgroup) || tree.populated(cgroup+"-absent") {
		t.Error("there are processes where none are")
	}
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sleep.Wait() }()
	t.Cleanup(func() {
		_ = sleep.Process.Kill()
		_ = removeTree(tree.path(cgroup))
	})
	if err := os.WriteFile(inner+"/cgroup.procs", fmt.Append(nil, sleep.Process.Pid), 0); err != nil {
		t.Fatal(err)
	}
	if !tree.populated(cgroup) {
		t.Error("the process below counts for nothing")
	}
	if err := tree.clear(context.Background(), cgroup, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("what was in it ended by itself")
	}
	if _, err := os.Stat(tree.path(cgroup)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if err := errors.Join(tree.clear(context.Background(), cgroup, 0), tree.clear(context.Background(), "", 0)); err != nil {
		t.Errorf("what is gone: %v", err)
	}
}

func TestOOMKilled(t *testing.T) {
	const none, one = "low 0\nhigh 0\nmax 7\noom 7\noom_kill 0\noom_group_kill 0\n", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\noom_group_kill 0\n"
	for _, c := range []struct {
		name, unit, payload string // what memory.events says; empty: there is no such file
		want                bool
	}{
		{"no controller", "", "", false},
		{"killed by somebody else", none, none, false},
		{"in the container", one, one, true},
		{"in the unit, not in the container", one, none, false},
		{"the container's cgroup is gone", one, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			unit := t.TempDir()
			payload := filepath.Join(unit, "payload")
			for dir, text := range map[string]string{unit: c.unit, payload: c.payload} {
				if text == "" {
					continue
				}
				if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "memory.events"), []byte(text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if got := tree(unit).oomKilled("payload"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
