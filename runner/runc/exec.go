// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/process"
)

// An Execution is another process in a running container.
type Execution struct {
	ID      string
	Process *os.File // its section of the configuration, to be read from the beginning
	Log     *os.File // an empty file that gets the runtime's log
	TTY     bool
	Streams Streams
	// Cgroup is one below the container's, which exists; empty means the container's.
	Cgroup string
	// PIDFile receives the ID of the process once there is one; empty means none.
	PIDFile string
	// Umask is the mask of the process; nil means the usual one. A runtime has that of the
	// container's first process from the configuration, and leaves its own to what comes later.
	Umask *uint32
}

// start starts the runtime with the mask that the process is to have. A mask belongs to a whole
// process, not to a thread, so ours is changed for that moment.
func (x Execution) start(cmd *exec.Cmd) error {
	mask := 0o022
	if x.Umask != nil {
		mask = int(*x.Umask)
	}
	defer syscall.Umask(syscall.Umask(mask))
	return cmd.Start()
}

// exec is the runtime's command, which has the process and the log as descriptors behind those that
// are handed on.
func (r Runtime) exec(ctx context.Context, x Execution, flags ...string) *exec.Cmd {
	next := 3 + len(x.Streams.Files)
	args := append([]string{"exec", "--process", fmt.Sprintf("/proc/self/fd/%d", next)}, flags...)
	args = append(args, x.Streams.preserve()...)
	if x.TTY {
		args = append(args, "--tty")
	}
	if x.Cgroup != "" {
		args = append(args, "--cgroup", x.Cgroup)
	}
	if x.PIDFile != "" {
		args = append(args, "--pid-file", x.PIDFile)
	}
	cmd := r.command(ctx, fmt.Sprintf("/proc/self/fd/%d", next+1), append(args, x.ID)...)
	x.Streams.wire(cmd)
	cmd.ExtraFiles = append(slices.Clone(x.Streams.Files), x.Process, x.Log)
	return cmd
}

// log is the path of the log, to be read from its beginning.
func (x Execution) log() string { return fmt.Sprintf("/proc/self/fd/%d", x.Log.Fd()) }

// Exec runs another process in the container, attached, and returns its status. Signals that would
// end us are passed on to the process. If there is still no process some seconds after the end of
// ctx, the runtime and what it has made are killed; without PIDFile, nobody knows that there is
// one.
func (r Runtime) Exec(ctx context.Context, x Execution) (int, error) {
	again := false
	err := untilTold(ctx, x.log(), func() error {
		if again && x.Streams.Stderr != nil {
			// runc has said there that it failed.
			fmt.Fprintln(x.Streams.Stderr, "podunit: nothing was executed; trying again")
		}
		again = true
		return r.attached(ctx, x)
	})
	return r.status(err, x.log())
}

func (r Runtime) attached(ctx context.Context, x Execution) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	cmd := r.exec(context.WithoutCancel(ctx), x)
	x.Streams.keepFiles(cmd)
	if x.TTY && x.Streams.needsTerminal() {
		said := io.Discard
		if x.Streams.Stderr != nil {
			said = x.Streams.Stderr
		}
		release, err := lendTerminal(cmd, said)
		if err != nil {
			return err
		}
		defer release()
	}
	// Signals are taken from here on, so that one that comes during the start is not lost.
	pass, stop := passSignals()
	defer stop()
	if err := x.start(cmd); err != nil {
		return err
	}
	pass(cmd.Process)
	defer context.AfterFunc(ctx, func() { killLate(cmd, x.goesOn()) })()
	err := cmd.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the process has ended well, and something that it has started holds its output
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() != nil && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return ctx.Err() // nobody asked the process
	}
	return err
}

// goesOn tells each time whether what the runtime executes is there, or was there the last time. A
// runtime without it waits for nobody but the reader of its output, who may never come.
func (x Execution) goesOn() func() bool {
	ended := false
	return func() bool {
		pid, err := ReadPID(x.PIDFile)
		if x.PIDFile == "" || err != nil {
			return false // the runtime has not said that there is a process
		}
		was := ended
		ended = process.HasEnded(pid)
		return !ended || !was
	}
}

// ExecWithin is Exec until ctx ends. Then kill is called until the runtime has ended: at first the
// process may not be there yet. A runtime that does not notice its end is killed after two seconds.
func (r Runtime) ExecWithin(ctx context.Context, x Execution, kill func()) (int, error) {
	err := untilTold(ctx, x.log(), func() error { return r.within(ctx, x, kill) })
	return r.status(err, x.log())
}

func (r Runtime) within(ctx context.Context, x Execution, kill func()) error {
	cmd := r.exec(context.WithoutCancel(ctx), x)
	if err := x.start(cmd); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Second)
	for {
		kill()
		select {
		case err := <-ended:
			return err
		case <-late:
			_ = cmd.Process.Kill() // it may have ended by now
		case <-tick.C:
		}
	}
}

// ExecDetached starts another process in the container and does not wait for it.
func (r Runtime) ExecDetached(ctx context.Context, x Execution) error {
	err := untilTold(ctx, x.log(), func() error {
		cmd := r.exec(ctx, x, "--detach")
		if err := x.start(cmd); err != nil {
			return err
		}
		return cmd.Wait()
	})
	if err != nil {
		return r.explain("exec", err, x.log())
	}
	return nil
}
