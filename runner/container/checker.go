// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/safe"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A check that is the runtime's takes as much as the runtime does to start a process, which is more
// than all else together. So the first check of a name has the runtime start podunit-checker, with
// the rights that any command in the container has, in the cgroup of the check. It stays there
// and executes what comes later. Whatever it says comes from inside the container, and makes a
// check pass or fail and nothing else.

// errNoChecker says that the runtime is to execute a check.
var errNoChecker = errors.New("nothing stays in the container to run its checks")

// noChecker is a file in the runtime directory that says so of a run of the container.
const noChecker = "checked-by-runtime"

// mayAsk reports whether the check is one for podunit-checker.
func (k *checking) mayAsk() bool {
	return k.check.Repeats && len(k.check.Env) == 0 && k.Checker != "" && k.group.dir != "" && helper.CanAsk(k.check.Command)
}

// byChecker has podunit-checker execute the check. The error is errNoChecker if nothing was executed.
func (k *checking) byChecker(ctx context.Context) (int, error) {
	if !k.mayAsk() {
		return 0, errNoChecker
	}
	for try := range 2 {
		// With more processes than one, an earlier check was cut short.
		if try > 0 || !k.group.alone() {
			if k.declined() {
				return 0, errNoChecker
			}
			if err := k.startChecker(ctx); ctx.Err() != nil {
				return 0, ctx.Err()
			} else if err != nil {
				k.decline()
				return 0, errNoChecker
			}
		}
		q, err := helper.AskCheck(k.group.socket, k.check.Command, k.out)
		code := 0
		if err == nil {
			code, err = q.Answer(ctx, k.group.kill)
		}
		if not := (*helper.CheckError)(nil); errors.As(err, &not) && not.Process {
			// It is one process too many, and the runtime does with one less. The limit of
			// processes may have been reached for a moment only.
			if not.Err != unix.EAGAIN {
				k.decline()
			}
			return 0, errNoChecker
		}
		if !errors.Is(err, helper.ErrNotAsked) {
			return k.answered(code, err)
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	k.decline()
	return 0, errNoChecker
}

// answered judges an answer.
func (k *checking) answered(code int, err error) (int, error) {
	var not *helper.CheckError
	command := k.check.Command[0]
	switch {
	case err == nil:
		k.stays = true
		return code, nil
	case errors.Is(err, helper.ErrNoAnswer):
		// The container has ended, or something in it was killed. The check may have begun.
		return 128 + int(unix.SIGKILL), nil
	case !errors.As(err, &not):
		return 0, err
	}
	k.stays = true
	switch kind := notExecuted(not); {
	case kind == nil:
		return 0, err
	case errors.Is(kind, runc.ErrNotFound) && !strings.Contains(command, "/"):
		return 0, fmt.Errorf("%w: exec: %q: executable file not found in $PATH", kind, command)
	case errors.Is(kind, runc.ErrNoDirectory):
		return 0, fmt.Errorf("%w: %w", kind, not)
	default:
		return 0, fmt.Errorf("%w: exec: %q: %w", kind, command, not.Err)
	}
}

// notExecuted is the runtime's error for what podunit-checker could not execute; nil if it has none.
func notExecuted(e *helper.CheckError) error {
	if e.Directory {
		return runc.ErrNoDirectory
	}
	switch e.Err {
	case unix.ENOENT, unix.ENOTDIR:
		return runc.ErrNotFound
	case unix.EACCES, unix.EPERM, unix.ENOEXEC, unix.EISDIR, unix.ELOOP:
		return runc.ErrNotExecutable
	}
	return nil
}

// startChecker has the runtime start podunit-checker, after all that is in the cgroup has ended.
func (k *checking) startChecker(ctx context.Context) error {
	k.group.remove()
	program, err := runc.Sealed(k.Checker)
	if err != nil {
		return err
	}
	defer program.Close()
	j, err := k.job(k.record, Exec{Command: helper.CheckerCommand()})
	if err != nil {
		return err
	}
	defer j.close()
	if err := mayStay(j.config); err != nil {
		return err
	}
	socket, err := helper.CheckSocket(k.group.socket)
	if err != nil {
		return err
	}
	defer socket.Close()
	if err := k.group.make(); err != nil {
		return err
	}
	j.PIDFile, j.Cgroup, j.Streams = k.group.pidFile, k.group.sub(), runc.Streams{Files: []*os.File{program, socket}}
	err = k.joined(k.record.ID, j.status.PID, j.config, func(runtime runc.Runtime) error {
		return runtime.ExecDetached(ctx, j.Execution)
	})
	if err == nil && !k.group.alone() {
		err = errors.New("the runtime has left it in another cgroup")
	}
	if err != nil {
		k.group.killAll()
		k.group.remove()
		return err
	}
	return removeFile(k.group.pidFile)
}

// mayStay returns an error if podunit-checker would outlive the container, or if it could be the
// way out of it.
func mayStay(config *rspec.Spec) error {
	if !ownPIDs(config) {
		return errors.New("the container has no PID namespace of its own, with which all that is in it ends")
	}
	// Who is asked can get a pidfd of who asks, which is podunit (unix(7), SO_PEERPIDFD), and
	// whoever may trace that may take its files. Without this capability nobody may who has less of
	// them than podunit. Source: ptrace(2), access mode checking.
	const trace = "CAP_SYS_PTRACE"
	if c := config.Process.Capabilities; c != nil {
		for _, set := range [][]string{c.Bounding, c.Permitted, c.Effective, c.Inheritable, c.Ambient} {
			if slices.Contains(set, trace) {
				return fmt.Errorf("the container has %s", trace)
			}
		}
	}
	return nil
}

// ownPIDs reports whether a container has a PID namespace of its own: the kernel kills all that is in
// it when its first process ends.
func ownPIDs(config *rspec.Spec) bool {
	return config.Linux != nil && slices.ContainsFunc(config.Linux.Namespaces, func(ns rspec.LinuxNamespace) bool {
		return ns.Type == rspec.PIDNamespace && ns.Path == ""
	})
}

// decline notes that podunit-checker cannot be in this container as long as that runs.
func (k *checking) decline() {
	// Without the note the next check finds it out again.
	_ = safe.Replace(filepath.Join(k.dir(k.record.ID), noChecker), strconv.AppendUint(nil, k.ticks, 10), 0o600)
}

// declined reports whether it was noted.
func (k *checking) declined() bool {
	b, err := safe.ReadSmall(filepath.Join(k.dir(k.record.ID), noChecker))
	return err == nil && string(b) == strconv.FormatUint(k.ticks, 10)
}
