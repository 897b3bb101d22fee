// SPDX-License-Identifier: Apache-2.0

package service

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
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/runc"
	"golang.org/x/sys/unix"
)

// runtime gives the engine an OCI runtime that is a shell script: create starts a process that
// sleeps, run does what attached says. $PID is the file for the process.
func (w *world) runtime(attached string) {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "crun")
	text := `#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in
	--root) ROOT=$2; shift ;;
	--pid-file) PID=$2; shift ;;
	create|run|start|delete) VERB=$1 ;;
	esac
	ID=$1
	shift
done
case $VERB in
create)
	mkdir -p $ROOT/$ID
	sleep 600 <&- >&- 2>&- &
	echo $! >$ROOT/$ID/pid
	cp $ROOT/$ID/pid $PID
	;;
start) touch $ROOT/$ID/started ;;
delete) kill -KILL $(cat $ROOT/$ID/pid) ;;
run) ` + attached + `;;
esac
`
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		w.t.Fatal(err)
	}
	w.Containers.Runtime = runc.Runtime{Command: path, Root: w.Containers.Runtime.Root}
	w.t.Cleanup(func() {
		pids, _ := filepath.Glob(filepath.Join(w.Containers.Runtime.Root, "*", "pid"))
		for _, path := range pids {
			if b, err := os.ReadFile(path); err == nil {
				if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
					_ = unix.Kill(pid, unix.SIGKILL)
				}
			}
		}
	})
}

func (w *world) started(r container.Record) bool {
	_, err := os.Stat(filepath.Join(w.Containers.Runtime.Root, r.ID, "started"))
	return err == nil
}

func TestAServicesContainerIsItsMainProcess(t *testing.T) {
	for mode, want := range map[string]string{"conmon": "MAINPID=%d\nREADY=1", "container": "MAINPID=%d", "ignore": ""} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t)
			w.runtime("")
			conn := w.inService("web.service")
			messages := make(chan string, 1)
			go func() {
				b, rights := make([]byte, 4096), make([]byte, 4096)
				n, _, _, _, err := conn.ReadMsgUnix(b, rights)
				if err != nil {
					return
				}
				messages <- string(b[:n])
				for { // the barrier waits until its descriptor is closed
					_, m, _, _, err := conn.ReadMsgUnix(make([]byte, 4096), rights)
					if err != nil {
						return
					}
					closeRights(rights[:m])
				}
			}()
			c := w.asked("web")
			c.SdNotify, c.Detach = mode, true
			c.PIDFile = filepath.Join(t.TempDir(), "pid")
			r, code, err := w.Run(context.Background(), c, nil)
			if err != nil || code != 0 {
				t.Fatalf("%d, %v", code, err)
			}
			s, err := w.Containers.Status(r.ID)
			if err != nil || s.PID == 0 || s.Unit != "web.service" {
				t.Fatalf("%+v, %v", s, err)
			}
			if pid, err := runc.ReadPID(c.PIDFile); pid != s.PID {
				t.Errorf("the file has %d, not %d: %v", pid, s.PID, err)
			}
			if !w.started(r) {
				t.Error("it was not let begin")
			}
			if want != "" {
				if got := <-messages; !strings.HasPrefix(got, fmt.Sprintf(want, s.PID)) || strings.Contains(got, "READY") != strings.Contains(want, "READY") {
					t.Errorf("the manager is told %q", got)
				}
			}
			if got := os.Getenv("NOTIFY_SOCKET"); got != "" {
				t.Errorf("children could speak to %s", got)
			}
			if !w.free("web") {
				t.Error("the lock is held")
			}
		})
	}
}

// closeRights closes the descriptors of a control message.
func closeRights(b []byte) {
	messages, err := unix.ParseSocketControlMessage(b)
	if err != nil {
		return
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

func TestALaunchThatFailsLeavesNothing(t *testing.T) {
	for name, spoil := range map[string]func(*world){
		"no cgroup of its own": func(w *world) {
			w.divide = func(string) (s cgroup.Payload, err error) { return s, errors.New("not delegated") }
		},
		"a runtime that fails":  func(w *world) { w.Containers.Runtime.Command = "/bin/false" },
		"no file for its PID":   func(*world) {},
		"nobody to be ready to": func(w *world) { os.Remove(w.Notify.Path()) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.runtime("")
			w.inService("web.service")
			c := w.asked("web")
			c.Detach = true
			if name == "no file for its PID" {
				c.PIDFile = "/nonexistent/pid"
			}
			spoil(w)
			r, _, err := w.Run(context.Background(), c, nil)
			if err == nil {
				t.Fatal("no error")
			}
			if w.exists("web") || len(w.locks()) != 0 {
				t.Errorf("after %v it is there: %t, locks %v", err, w.exists("web"), w.locks())
			}
			if _, err := os.Stat(w.Containers.Dir(r.ID)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its directory: %v", err)
			}
		})
	}
}

// shell gives the world a shell's terminal, whose cgroup cannot be had.
func (w *world) shell() {
	w.manager.fails["scope"] = errors.New("no manager")
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stdin.Close() })
	w.Stdin = stdin
}

func TestAnAttachedContainer(t *testing.T) {
	w := newWorld(t)
	w.shell()
	w.runtime("echo $$ >$PID; exit 7")
	c := w.asked("web")
	c.Remove = true
	_, code, err := w.Run(context.Background(), c, nil)
	if code != 7 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
	if w.exists("web") || len(w.locks()) != 0 {
		t.Errorf("--rm left it: %t, locks %v", w.exists("web"), w.locks())
	}
	if len(w.warnings) != 1 || !strings.Contains(w.warnings[0], "no cgroup of its own") {
		t.Errorf("%q", w.warnings)
	}
	c.Cgroups = "split"
	if _, _, err := w.Run(context.Background(), c, nil); err == nil {
		t.Error("a cgroup that was asked for is not missed")
	}
}

func TestWhoIsAttachedDoesNotHoldTheLock(t *testing.T) {
	w := newWorld(t)
	w.shell()
	// It waits for the signal that it gets when somebody has had the lock.
	w.runtime("trap 'exit 9' TERM; echo $$ >$PID; while :; do sleep 0.01; done")
	c := w.asked("web")
	done := make(chan int)
	go func() {
		_, code, err := w.Run(context.Background(), c, nil)
		if err != nil {
			t.Error(err)
		}
		done <- code
	}()
	for runs := false; !runs; {
		select {
		case code := <-done:
			t.Fatalf("it has ended with %d", code)
		case <-time.After(time.Millisecond):
			r, err := w.Containers.Lookup("web")
			runs = err == nil && w.alive(r)
		}
	}
	r, err := w.Containers.Lookup("web")
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.Containers.Status(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The process is there a moment before the start has told everybody.
	for begun := time.Now(); !w.free("web"); time.Sleep(time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("nobody could stop it")
		}
	}
	err = unix.Kill(s.PID, unix.SIGTERM)
	if code := <-done; code != 9 || err != nil {
		t.Errorf("got %d, %v", code, err)
	}
}

func TestStartOfOneThatRuns(t *testing.T) {
	w := newWorld(t)
	r := w.made("web", nil)
	w.running(r, "web.service")
	if code, err := w.Start(context.Background(), r, Attachment{}); err != nil || code != 0 || len(w.manager.calls) != 0 {
		t.Errorf("%d, %v, %v", code, err, w.manager.calls)
	}
	if _, err := w.Start(context.Background(), r, Attachment{Attach: true}); err == nil || !strings.Contains(err.Error(), "runs already") {
		t.Errorf("attached: %v", err)
	}
}

func TestStartAgain(t *testing.T) {
	w := newWorld(t)
	w.runtime("")
	r := w.made("web", func(r *container.Record) { r.Spec.SdNotify = "ignore" })
	if _, err := w.Start(context.Background(), r, Attachment{}); err != nil || !w.manager.asked("start web.service") {
		t.Errorf("by hand: %v, %v", err, w.manager.calls)
	}
	w.inService("web.service")
	if _, err := w.Start(context.Background(), r, Attachment{}); err != nil || !w.alive(r) || !w.started(r) {
		t.Errorf("in its service: %v; alive %t", err, w.alive(r))
	}
	gone := w.made("gone", nil)
	if err := w.Containers.Remove(context.Background(), gone, true, true, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Start(context.Background(), gone, Attachment{}); !errors.Is(err, container.ErrNotFound) || slices.Contains(w.locks(), "gone") {
		t.Errorf("one that was removed meanwhile: %v; locks %v", err, w.locks())
	}
}

// A name may be how the IDs of other containers begin.
func TestRunOfANameThatBeginsIDs(t *testing.T) {
	w := newWorld(t)
	begins := map[string]int{}
	for i := range 17 { // two of them begin alike
		begins[w.made(fmt.Sprintf("other-%d", i), nil).ID[:1]]++
	}
	for name, n := range begins {
		if n < 2 {
			continue
		}
		if _, err := w.Create(context.Background(), w.asked(name), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
