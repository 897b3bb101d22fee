// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
)

// realUID is set, to the user's ID on the host, where these tests may talk to that
// user's real manager: in a lab.
const realUID = "PODUNIT_TEST_MANAGER_UID"

func TestRealManager(t *testing.T) {
	uid, err := strconv.Atoi(os.Getenv(realUID))
	if err != nil {
		t.Skip("needs a real service manager: see TestLabManager")
	}
	ctx := context.Background()
	m, err := Connect(ctx, ConfigFor(uid, os.LookupEnv))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const name = "podunit-real-test.service"
	service := Service{
		Description: "a test", Type: "exec", Start: []string{"/bin/sleep", "60"}, StopPost: []string{"/bin/true"},
		Environment: []string{"A=b"}, Directory: "/tmp", Identifier: "test", Restart: "on-failure", MaxRestarts: 2,
		StartTimeout: 5 * time.Second, StopTimeout: -1, Collect: true, After: []string{"basic.target"},
	}
	if err := m.Free(ctx, name); err != nil {
		t.Fatal(err)
	}
	if err := m.StartService(ctx, name, service); err != nil {
		t.Fatal(err)
	}
	p, err := m.Properties(ctx, name)
	if err != nil || p.ActiveState != "active" || p.MainPID == 0 || !p.Transient || p.Restart != "on-failure" || p.HasJob || len(p.InvocationID) != 32 {
		t.Errorf("properties %+v, %v", p, err)
	}
	if own, err := Of(p.MainPID); err != nil || own.Name != name || own.Cgroup != p.ControlGroup || own.User != (uid != 0) {
		t.Errorf("its main process is in %+v, %v; its cgroup is %s", own, err, p.ControlGroup)
	}
	var taken NameTakenError
	if err := m.StartService(ctx, name, service); !errors.As(err, &taken) {
		t.Errorf("the name once more: %v", err)
	}
	if err := m.Free(ctx, name); !errors.As(err, &taken) {
		t.Errorf("a name in use is free: %v", err)
	}
	if err := errors.Join(m.Restart(ctx, name), m.Stop(ctx, name), m.Stop(ctx, name), m.Stop(ctx, "podunit-no-such.service")); err != nil {
		t.Error(err)
	}

	// One that fails, and stays as failed until its name is freed.
	failing := Service{Type: "exec", Start: []string{"/nonexistent"}}
	var failed JobError
	if err := m.StartService(ctx, name, failing); !errors.As(err, &failed) || failed.Result != "exit-code" {
		t.Errorf("a command that does not exist: %v", err)
	}
	if err := m.Free(ctx, name); err != nil {
		t.Error(err)
	}

	// One that has ended, and that one which failed still needs.
	const bound = "podunit-real-bound.service"
	lasting := Service{Type: "exec", Start: []string{"/bin/sleep", "60"}}
	trapped := filepath.Join(t.TempDir(), "trapped")
	deaf := Service{Type: "exec", Start: []string{"/bin/sh", "-c", "trap : TERM; : >" + trapped + "; while :; do sleep 1; done"}, StopTimeout: 50 * time.Millisecond, BindsTo: []string{name}, After: []string{name}}
	if err := errors.Join(m.StartService(ctx, name, lasting), m.StartService(ctx, bound, deaf)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // until it is deaf
		if _, err := os.Stat(trapped); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err := m.Stop(ctx, name); err != nil {
		t.Error(err)
	}
	if p, err := m.Properties(ctx, bound); err != nil || p.ActiveState != "failed" {
		t.Errorf("properties of the unit that was killed %+v, %v", p, err)
	}
	if err := errors.Join(m.Free(ctx, name), m.StartService(ctx, name, lasting), m.Stop(ctx, name)); err != nil {
		t.Errorf("the name of a unit that another needed: %v", err)
	}

	// One that never says it is ready, and is given up.
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := m.StartService(short, name, Service{Start: []string{"/bin/sleep", "60"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: %v", err)
	}
	if err := m.Free(ctx, name); err != nil {
		t.Error(err)
	}

	// A scope of our own, whose cgroup we may divide.
	scope := fmt.Sprintf("podunit-real-test-%d.scope", os.Getpid())
	own, err := m.StartScope(ctx, scope, "a test", "")
	if err != nil || own.Name != scope || own.Sub != "" {
		t.Fatalf("scope %+v, %v", own, err)
	}
	s, err := cgroup.Split(own.Cgroup, "payload")
	if err != nil || s.Cgroup != own.Cgroup+"/payload" {
		t.Errorf("split %+v, %v", s, err)
	}
	now, err := CurrentUnit(os.LookupEnv)
	want := ""
	if len(s.Controllers) > 0 {
		want = "runtime"
	}
	if err != nil || now.Name != scope || now.Sub != want {
		t.Errorf("after the split we are in %+v, %v", now, err)
	}
	if data, err := os.ReadFile("/sys/fs/cgroup" + own.Cgroup + "/cgroup.subtree_control"); err != nil || !slices.Equal(strings.Fields(string(data)), s.Controllers) {
		t.Errorf("controllers %q, %v; said %v", data, err, s.Controllers)
	}
}
