// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"path/filepath"
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
		{command: "x", err: &helper.CheckError{Err: unix.EAGAIN, Process: true}, want: unix.EAGAIN, text: "fork: resource temporarily unavailable", stays: true},
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

// TestCheckWithoutChecker: where it cannot be, nothing of it is tried.
func TestCheckWithoutChecker(t *testing.T) {
	for name, c := range map[string]Check{
		"it comes once":              {Command: []string{"true"}},
		"it has variables":           {Command: []string{"true"}, Env: []string{"A=b"}, Repeats: true},
		"it has too many words":      {Command: make([]string, 5000), Repeats: true},
		"the container has no group": {Command: []string{"true"}, Repeats: true},
	} {
		e, r := checked(t, "echo by the runtime")
		e.Checker = "/nosuch"
		c.Command[0] = "true"
		got, err := e.Check(context.Background(), r, c)
		if err != nil || got.Output != "by the runtime\n" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if left, _ := filepath.Glob(filepath.Join(e.dir(r.ID), "check*")); len(left) > 0 {
			t.Errorf("%s: left over: %v", name, left)
		}
	}
}
