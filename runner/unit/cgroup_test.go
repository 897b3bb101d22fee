// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseOwn(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Own
	}{
		{"a user service", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n",
			Own{Name: "web.service", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service"}},
		{"the runner after the split", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/runtime\n",
			Own{Name: "web.service", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", Sub: "runtime"}},
		{"a user service in nested slices", "0::/user.slice/user-1000.slice/user@1000.service/a.slice/a-b.slice/x.service\n",
			Own{Name: "x.service", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/a.slice/a-b.slice/x.service"}},
		{"a system service", "0::/system.slice/web.service\n",
			Own{Name: "web.service", Cgroup: "/system.slice/web.service"}},
		{"a control process of a delegated system service", "0::/system.slice/web.service/.control\n",
			Own{Name: "web.service", Cgroup: "/system.slice/web.service", Sub: ".control"}},
		{"an instance", "0::/system.slice/system-web.slice/web@a.service\n",
			Own{Name: "web@a.service", Cgroup: "/system.slice/system-web.slice/web@a.service"}},
		{"a login session", "0::/user.slice/user-1000.slice/session-3.scope\n",
			Own{Name: "session-3.scope", Cgroup: "/user.slice/user-1000.slice/session-3.scope"}},
		{"the user manager itself", "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n",
			Own{Name: "init.scope", User: true, Cgroup: "/user.slice/user-1000.slice/user@1000.service/init.scope"}},
		{"a cgroup nobody declared, below the user manager", "0::/user.slice/user-1000.slice/user@1000.service/odd\n",
			Own{Name: "user@1000.service", Cgroup: "/user.slice/user-1000.slice/user@1000.service", Sub: "odd"}},
		{"the root", "0::/\n", Own{Cgroup: "/"}},
		{"no unit at all", "0::/machine/one\n", Own{Cgroup: "/", Sub: "machine/one"}},
		{"v1 hierarchies beside it", "4:memory:/x\n1:name=systemd:/y\n0::/system.slice/a.service\n",
			Own{Name: "a.service", Cgroup: "/system.slice/a.service"}},
		{"a name the kernel could mistake for its own", "0::/system.slice/_cgroup.service\n",
			Own{Name: "cgroup.service", Cgroup: "/system.slice/_cgroup.service"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseOwn(tt.text)
			if err != nil || got != tt.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
	if _, err := parseOwn("1:name=systemd:/\n"); !errors.Is(err, errNoCgroup2) {
		t.Errorf("without v2: %v", err)
	}
}

// v2 is where this machine has a cgroup v2 hierarchy that may be written to.
func v2(t *testing.T) string {
	t.Helper()
	for _, root := range []string{cgroupRoot, cgroupRoot + "/unified"} {
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
	tree := Tree{root: root}
	t.Cleanup(func() {
		_ = sleep.Process.Kill()
		_ = sleep.Wait()
		if err := tree.Remove(unitCgroup); err != nil {
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
		s, err := tree.Split(unitCgroup, "payload")
		if err != nil {
			t.Fatal(err)
		}
		if s.Payload != unitCgroup+"/payload" {
			t.Errorf("payload at %s", s.Payload)
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
	_, err := tree.Split(unitCgroup, "payload")
	var busy BusyError
	if !errors.As(err, &busy) || !slices.Equal(busy.PIDs, []int{sleep.Process.Pid}) {
		t.Errorf("a live payload gives %v", err)
	}
	if err := tree.Remove(unitCgroup + "/payload"); !errors.As(err, &busy) {
		t.Errorf("removing a live payload gives %v", err)
	}
}

func TestSplitOfAForeignCgroup(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may divide any cgroup")
	}
	_, err := Tree{root: t.TempDir()}.Split("/absent.service", "payload")
	if err == nil || !strings.Contains(err.Error(), "/absent.service") {
		t.Errorf("got %v", err)
	}
}
