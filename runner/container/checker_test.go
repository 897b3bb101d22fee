// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/runc"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestMayStay: in which containers something stays for the checks.
func TestMayStay(t *testing.T) {
	own := []rspec.LinuxNamespace{{Type: rspec.MountNamespace, Path: "/proc/7/ns/mnt"}, {Type: rspec.PIDNamespace}}
	for _, c := range []struct {
		name       string
		namespaces []rspec.LinuxNamespace
		caps       *rspec.LinuxCapabilities
		want       string
	}{
		{name: "as most are", namespaces: own, caps: &rspec.LinuxCapabilities{Bounding: []string{"CAP_CHOWN", "CAP_NET_RAW"}, Permitted: []string{"CAP_CHOWN"}}},
		{name: "without capabilities", namespaces: own},
		{name: "one that may trace", namespaces: own, caps: &rspec.LinuxCapabilities{Bounding: []string{"CAP_CHOWN", "CAP_SYS_PTRACE"}}, want: "CAP_SYS_PTRACE"},
		{name: "one whose user may trace", namespaces: own, caps: &rspec.LinuxCapabilities{Ambient: []string{"CAP_SYS_PTRACE"}}, want: "CAP_SYS_PTRACE"},
		{name: "with the machine's processes", namespaces: own[:1], want: "PID namespace"},
		{name: "with those of its pod", namespaces: []rspec.LinuxNamespace{{Type: rspec.PIDNamespace, Path: "/proc/7/ns/pid"}}, want: "PID namespace"},
	} {
		config := &rspec.Spec{Linux: &rspec.Linux{Namespaces: c.namespaces}, Process: &rspec.Process{Capabilities: c.caps}}
		if err := mayStay(config); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if ownPIDs(&rspec.Spec{}) {
		t.Error("there is no namespace at all")
	}
}

// TestAnswers: what the runtime says of a command that it cannot execute is said of it here, too.
func TestAnswers(t *testing.T) {
	strange := errors.New("strange")
	for _, c := range []struct {
		command string
		err     error
		code    int
		want    error
		text    string
		stays   bool
	}{
		{err: nil, code: 7, stays: true},
		{err: helper.ErrNoAnswer, code: 137},
		{err: strange, want: strange},
		{command: "nosuch", err: &helper.CheckError{Err: unix.ENOENT}, want: runc.ErrNotFound, text: `command not found in the container: exec: "nosuch": executable file not found in $PATH`, stays: true},
		{command: "/a/b", err: &helper.CheckError{Err: unix.ENOTDIR}, want: runc.ErrNotFound, text: `command not found in the container: exec: "/a/b": not a directory`, stays: true},
		{command: "/etc", err: &helper.CheckError{Err: unix.EACCES}, want: runc.ErrNotExecutable, text: `command cannot be executed in the container: exec: "/etc": permission denied`, stays: true},
		{command: "x", err: &helper.CheckError{Err: unix.ENOEXEC}, want: runc.ErrNotExecutable, stays: true},
		{command: "x", err: &helper.CheckError{Err: unix.ENOENT, Directory: true}, want: runc.ErrNoDirectory, stays: true},
		{command: "x", err: &helper.CheckError{Err: unix.E2BIG}, want: unix.E2BIG, stays: true},
	} {
		code := c.code
		if errors.Is(c.err, helper.ErrNoAnswer) {
			code = 0
		}
		k := checking{check: Check{Command: []string{c.command}}}
		got, err := k.answered(code, c.err)
		if got != c.code || !errors.Is(err, c.want) || k.stays != c.stays || c.text != "" && err.Error() != c.text {
			t.Errorf("%v: %d, %v, stays: %t", c.err, got, err, k.stays)
		}
	}
}

// TestDeclined: a note is about one run of the container.
func TestDeclined(t *testing.T) {
	e, r := checked(t, "")
	k := checking{Engine: e, record: r, ticks: 4711}
	if k.declined() {
		t.Error("declined before anything was tried")
	}
	k.decline()
	if !k.declined() {
		t.Error("it is not noted")
	}
	k.ticks++
	if k.declined() {
		t.Error("the next run has it, too")
	}
}

// TestMayAsk: what is the runtime's from the beginning.
func TestMayAsk(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*checking)
		want   bool
	}{
		"as most are":                {change: func(*checking) {}, want: true},
		"it comes once":              {change: func(k *checking) { k.check.Repeats = false }},
		"it has variables":           {change: func(k *checking) { k.check.Env = []string{"A=b"} }},
		"it has too many words":      {change: func(k *checking) { k.check.Command = slices.Repeat([]string{"true"}, 5000) }},
		"it is not installed":        {change: func(k *checking) { k.Checker = "" }},
		"the container has no group": {change: func(k *checking) { k.group.dir = "" }},
	} {
		k := checking{Engine: &Engine{Checker: "/nosuch"}, check: Check{Command: []string{"true"}, Repeats: true}, group: checkGroup{dir: "/nosuch"}}
		c.change(&k)
		if k.mayAsk() != c.want {
			t.Errorf("%s: %t", name, !c.want)
		}
	}
}

// TestCheckWithoutChecker: where it cannot be, nothing of it is tried.
func TestCheckWithoutChecker(t *testing.T) {
	e, r := checked(t, "echo by the runtime")
	e.Checker = "/nosuch"
	got, err := e.Check(context.Background(), r, Check{Command: []string{"true"}, Repeats: true})
	if err != nil || got.Output != "by the runtime\n" {
		t.Errorf("%+v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(e.dir(r.ID), "check*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// TestCheckWithoutProcess has podunit-checker make no process: the runtime executes this check, and
// the later ones only where it is not for a moment.
func TestCheckWithoutProcess(t *testing.T) {
	for number, declined := range map[unix.Errno]bool{unix.EAGAIN: false, unix.EMFILE: true} {
		e, r := checked(t, "")
		e.Checker = "/nosuch"
		k := checking{Engine: e, record: r, check: Check{Command: []string{"true"}, Repeats: true}, out: os.Stderr, ticks: 4711}
		k.group = checkGroup{dir: t.TempDir(), socket: filepath.Join(t.TempDir(), "s")}
		if err := os.WriteFile(filepath.Join(k.group.dir, "cgroup.procs"), []byte("7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: k.group.socket, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		go func() {
			const noProcess = 3
			conn, err := listener.AcceptUnix()
			if err == nil {
				_, err = conn.Read(make([]byte, 64)) // else the question comes back
				answer := binary.NativeEndian.AppendUint32(nil, noProcess)
				_, werr := conn.Write(binary.NativeEndian.AppendUint32(answer, uint32(number)))
				err = errors.Join(err, werr, conn.Close())
			}
			answered <- err
		}()
		if _, err := k.byChecker(context.Background()); !errors.Is(err, errNoChecker) {
			t.Errorf("%v: %v", number, err)
		}
		listener.Close()
		if err := <-answered; err != nil {
			t.Fatal(err)
		}
		if k.declined() != declined {
			t.Errorf("%v: declined: %t", number, !declined)
		}
	}
}
