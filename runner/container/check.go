// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"
	"golang.org/x/sys/unix"
)

// A Check is a command that finds out whether a container is healthy.
type Check struct {
	Command []string
	Env     []string      // NAME=VALUE, over the container's own
	Limit   time.Duration // after which all of it is killed; zero means none
	// MaxOutput is how many bytes of its output are kept; zero means all.
	MaxOutput int
	// Name tells it apart from other checks that run in the container at the same time, as part of
	// a file's name. Only one check of a name runs at a time.
	Name string
}

// CheckResult is how a check ended.
type CheckResult struct {
	Code     int // its exit status; 128+N for a death by signal N
	TimedOut bool
	Output   string // stdout and stderr
}

// cgroup is that of a check, below the container's: its limits hold, and it can be killed whole.
func (c Check) cgroup() string { return "podunit-check" + c.Name }

// Check runs a command as Exec does, with the rights of the container's first process and no more, until it ends, its
// time is over or ctx ends. What it has started does not outlive it. The caller sees to it that there is no other
// check of this name at the same time.
func (e *Engine) Check(ctx context.Context, r Record, c Check) (CheckResult, error) {
	var result CheckResult
	j, err := e.job(r, Exec{Command: c.Command, Env: c.Env})
	if err != nil {
		return result, err
	}
	defer j.close()
	out, in, err := os.Pipe()
	if err != nil {
		return result, err
	}
	defer out.Close()
	kept := make(chan string, 1)
	go func() { kept <- keep(out, c.MaxOutput) }()

	group := checkGroup{pidFile: filepath.Join(e.dir(r.ID), "check"+c.Name+".pid")}
	// Runtimes other than runc and crun may not know the flag.
	if name := filepath.Base(e.Runtime.Command); j.status.Cgroup != "" && (name == "runc" || name == "crun") {
		group.dir = filepath.Join(cgroup.Path(j.status.Cgroup), c.cgroup())
	}
	if err := group.make(); err != nil {
		in.Close()
		return result, err
	}
	defer group.remove()
	limited, cancel := ctx, func() {}
	if c.Limit > 0 {
		limited, cancel = context.WithTimeout(ctx, c.Limit)
	}
	defer cancel()
	j.PIDFile, j.Streams = group.pidFile, runc.Streams{Stdout: in, Stderr: in}
	if group.dir != "" {
		j.Cgroup = c.cgroup()
	}
	err = e.joined(r.ID, j.status.PID, j.config, func(runtime runc.Runtime) error {
		var err error
		result.Code, err = runtime.ExecWithin(limited, j.Execution, group.killAll)
		return err
	})
	in.Close()
	group.kill()
	// A process that has left the cgroup may still hold the pipe.
	_ = out.SetReadDeadline(time.Now().Add(time.Second))
	result.Output = <-kept
	if cause := ctx.Err(); cause != nil {
		return result, context.Cause(ctx)
	}
	if limited.Err() != nil {
		result.TimedOut, err = true, nil
	}
	return result, err
}

// EndsWithin reports whether the container's first process has ended, or does within d.
func (e *Engine) EndsWithin(ctx context.Context, id string, d time.Duration) (bool, error) {
	s, err := e.Status(id)
	if err != nil || s.PID == 0 {
		return err == nil, err
	}
	p, err := process.Open(s.PID, s.StartTicks)
	if p == nil || err != nil {
		return err == nil, err
	}
	defer p.Close()
	return p.Wait(ctx, d), nil
}

// keep reads to the end and returns the first bytes, at most limit if that is not zero.
func keep(from io.Reader, limit int) string {
	var b strings.Builder
	if limit > 0 {
		_, _ = io.Copy(&b, io.LimitReader(from, int64(limit))) // what there is, is the result
		_, _ = io.Copy(io.Discard, from)
	} else {
		_, _ = io.Copy(&b, from)
	}
	return b.String()
}

// A checkGroup is the processes of a check.
type checkGroup struct {
	dir     string // the cgroup; empty where the container has none
	pidFile string // where the runtime writes the ID of the first
}

// make makes the cgroup, empty also if an earlier check was cut short.
func (g checkGroup) make() error {
	if err := removeFile(g.pidFile); err != nil {
		return err
	}
	if g.dir == "" {
		return nil
	}
	err := os.Mkdir(g.dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		g.kill()
		return nil
	}
	if err != nil {
		return fmt.Errorf("cgroup of the check: %w", err)
	}
	return nil
}

// kill kills the processes in the cgroup. It returns no error: the caller waits for their end.
func (g checkGroup) kill() {
	if g.dir == "" {
		return
	}
	// Linux 5.14; before that one by one, and again for those that fork meanwhile.
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.kill"), []byte("1"), 0); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	b, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	for word := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// killAll kills what kill does and, while the runtime runs, the check's process outside of the
// cgroup: a runtime that may not move the process there leaves it where it is. The process leads a
// session, so its children are in its process group unless they have left it.
func (g checkGroup) killAll() {
	g.kill()
	if pid, err := runc.ReadPID(g.pidFile); err == nil {
		_ = unix.Kill(-pid, unix.SIGKILL)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// remove removes the cgroup once its processes are gone.
func (g checkGroup) remove() {
	_ = removeFile(g.pidFile)
	if g.dir == "" {
		return
	}
	for deadline := time.Now().Add(process.KillWait); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if err := unix.Rmdir(g.dir); !errors.Is(err, unix.EBUSY) {
			return
		}
		g.kill()
	}
}
