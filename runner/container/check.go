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
	"github.com/podunit/podunit/runner/helper"
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
	// Repeats says that it is run again and again: what executes it may stay in the container.
	Repeats bool
}

// CheckResult is how a check ended.
type CheckResult struct {
	Code     int // its exit status; 128+N for a death by signal N
	TimedOut bool
	Output   string // stdout and stderr
}

// Check runs a command as Exec does, with the rights of the container's first process and no more,
// until it ends, its time is over or ctx ends. What it has started does not outlive it. The caller
// sees to it that there is no other check of this name at the same time.
func (e *Engine) Check(ctx context.Context, r Record, c Check) (CheckResult, error) {
	var result CheckResult
	s, err := e.joinable(r)
	if err != nil {
		return result, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return result, err
	}
	defer out.Close()
	defer in.Close()
	// The command may open /dev/stdout, with the rights of the container's user. A runtime makes that
	// user the owner of its streams, but this pipe stays ours.
	if err := in.Chmod(0o666); err != nil {
		return result, err
	}
	kept := make(chan string, 1)
	go func() { kept <- keep(out, c.MaxOutput) }()
	limited, cancel := ctx, func() {}
	if c.Limit > 0 {
		limited, cancel = context.WithTimeout(ctx, c.Limit)
	}
	defer cancel()

	k := checking{Engine: e, record: r, check: c, out: in, group: e.checkGroup(r.ID, s, c.Name), ticks: s.StartTicks}
	result.Code, err = k.byChecker(limited)
	if errors.Is(err, errNoChecker) {
		result.Code, err = k.byRuntime(limited)
	}
	in.Close()
	if !k.stays || limited.Err() != nil || !k.group.alone() {
		k.group.kill()
		defer k.group.remove()
	}
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

// EndCheck ends what has stayed in a container for the checks of a name, which do not come again.
func (e *Engine) EndCheck(r Record, name string) error {
	s, err := e.Status(r.ID)
	if err == nil {
		e.checkGroup(r.ID, s, name).remove()
	}
	return err
}

// checking is a check that is being run.
type checking struct {
	*Engine
	record Record
	check  Check
	out    *os.File // gets its output
	group  checkGroup
	ticks  uint64 // tell the container's run
	stays  bool   // what has executed the check is there for the next one
}

// byRuntime has the runtime execute the check.
func (k *checking) byRuntime(ctx context.Context) (code int, err error) {
	j, err := k.job(k.record, Exec{Command: k.check.Command, Env: k.check.Env})
	if err != nil {
		return 0, err
	}
	defer j.close()
	if err := k.group.make(); err != nil {
		return 0, err
	}
	j.PIDFile, j.Cgroup, j.Streams = k.group.pidFile, k.group.sub(), runc.Streams{Stdout: k.out, Stderr: k.out}
	err = k.joined(k.record.ID, j.status.PID, j.config, func(runtime runc.Runtime) error {
		var err error
		code, err = runtime.ExecWithin(ctx, j.Execution, k.group.killAll)
		return err
	})
	return code, err
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
	cgroup  string // empty where the container has none
	dir     string // of the cgroup
	pidFile string // where the runtime writes the ID of the first
	socket  string // where podunit-checker is asked
}

// checkGroup returns that of the checks of a name: below the container's cgroup, so that its limits
// hold, and of its own, so that it can be killed whole.
func (e *Engine) checkGroup(id string, s Status, name string) checkGroup {
	g := checkGroup{
		pidFile: filepath.Join(e.dir(id), "check"+name+".pid"),
		socket:  filepath.Join(e.dir(id), helper.CheckSocketName(name)),
	}
	// Runtimes other than runc and crun may not know the flag.
	if runtime := filepath.Base(e.Runtime.Command); s.Cgroup != "" && (runtime == "runc" || runtime == "crun") {
		g.cgroup = filepath.Join(s.Cgroup, "podunit-check"+name)
		g.dir = cgroup.Path(g.cgroup)
	}
	return g
}

// sub is the cgroup's path below the container's.
func (g checkGroup) sub() string {
	if g.cgroup == "" {
		return ""
	}
	return filepath.Base(g.cgroup)
}

// alone reports whether there is one process in the cgroup and none below it.
func (g checkGroup) alone() bool {
	var st unix.Stat_t
	if g.dir == "" || unix.Stat(g.dir, &st) != nil || st.Nlink > 2 {
		return false // each directory below it is one more link
	}
	return len(g.processes()) == 1
}

// processes are those in the cgroup.
func (g checkGroup) processes() []string {
	b, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	return strings.Fields(string(b))
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
	for _, word := range g.processes() {
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
	_, _ = removeFile(g.pidFile), removeFile(g.socket)
	if g.dir == "" {
		return
	}
	for deadline := time.Now().Add(process.KillWait); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if err := cgroup.Remove(g.cgroup); !errors.Is(err, unix.EBUSY) {
			return
		}
		g.kill()
	}
}
