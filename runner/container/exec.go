// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/hint"
	"github.com/podunit/podunit/runner/netns"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/runc"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Exec is one more process in a running container.
type Exec struct {
	Command    []string
	Env        []string // NAME=VALUE, over the container's own
	User       string   // USER[:GROUP]; empty is the container's
	WorkDir    string   // empty is the container's
	TTY        bool
	Detach     bool
	Privileged bool
	Streams    runc.Streams
	// Session is the ID that events of it have, as NewID makes one.
	Session string
}

// ErrNotRunning says that the container has no process to join.
var ErrNotRunning = errors.New("container is not running")

// stateError is an ErrNotRunning with the words that Podman has for it at one verb. Source:
// podman-exec(1).
type stateError string

func (e stateError) Error() string { return string(e) + ": " + ErrState.Error() }

// Is makes it an ErrNotRunning, and an ErrState.
func (stateError) Is(err error) bool { return err == ErrNotRunning || err == ErrState }

// Exec runs the process and returns its exit status; with Detach it does not wait.
func (e *Engine) Exec(ctx context.Context, r Record, x Exec) (int, error) {
	j, err := e.job(r, x)
	if err != nil {
		return 0, err
	}
	defer j.close()
	code := 0
	err = e.joined(r.ID, j.status.PID, j.config, func(runtime runc.Runtime) error {
		e.tellExec(r, "exec", x.Session, nil)
		if x.Detach {
			return runtime.ExecDetached(ctx, j.Execution)
		}
		dir, drop, err := e.execDir(r.ID)
		if err != nil {
			return err
		}
		defer drop()
		j.PIDFile = filepath.Join(dir, "pid")
		if code, err = runtime.Exec(ctx, j.Execution); err == nil {
			e.tellExec(r, "exec_died", x.Session, &code)
		}
		return err
	})
	return code, err
}

// A job is what is to be executed in a container that runs.
type job struct {
	runc.Execution
	status Status      // of the container
	config *rspec.Spec // the container's
}

// job makes one. What goes to the runtime is in memory: its environment is for nobody else to
// read, and a runner that is killed leaves nothing.
func (e *Engine) job(r Record, x Exec) (*job, error) {
	s, err := e.joinable(r)
	if err != nil {
		return nil, err
	}
	config, err := e.OCI(r.ID)
	if err != nil {
		return nil, err
	}
	p, err := e.process(r, x, config.Process, s.PID)
	if err != nil {
		return nil, err
	}
	j := &job{Execution: runc.Execution{ID: r.ID, TTY: x.TTY, Streams: x.Streams, Umask: p.User.Umask}, status: s, config: config}
	if j.Process, err = memory("process.json"); err != nil {
		return nil, err
	}
	if j.Log, err = memory("runtime.log"); err == nil {
		err = json.NewEncoder(j.Process).Encode(p)
	}
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

// joinable is the status of a container in which something can be executed now.
func (e *Engine) joinable(r Record) (Status, error) {
	s, err := e.Status(r.ID)
	const words = stateError("can only create exec sessions on running containers")
	switch {
	case err != nil:
		return s, err
	case s.PID == 0:
		return s, hint.With(words, "container %s does not run: podunit start %s", r.Name, r.Name)
	case cgroup.Frozen(s.Cgroup):
		return s, hint.With(words, "container %s is paused: podunit unpause %s", r.Name, r.Name)
	}
	return s, nil
}

func (j *job) close() error {
	err := j.Process.Close()
	if j.Log != nil {
		err = errors.Join(err, j.Log.Close())
	}
	return err
}

// memory makes a file that exists in memory only.
func memory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// process makes the process section for x from that of the container's first process, pid.
func (e *Engine) process(r Record, x Exec, first *rspec.Process, pid int) (*rspec.Process, error) {
	p := *first
	p.Args, p.Terminal, p.ConsoleSize = x.Command, x.TTY, nil
	p.Env = append(e.unmask(append([]string{}, p.Env...), r.ID, pid, r.secrets()), x.Env...)
	if e.User.Rootless() {
		p.Rlimits = bundle.WithinOwn(p.Rlimits)
	}
	if x.TTY && !hasName(p.Env, "TERM") {
		p.Env = append(p.Env, "TERM=xterm")
	}
	if x.WorkDir != "" {
		p.Cwd = x.WorkDir
	}
	// The root as the container has it now: users may have been added.
	root := fmt.Sprintf("/proc/%d/root", pid)
	err := bundle.CheckUsers(root)
	if err == nil && x.User != "" {
		err = bundle.SetUser(&p, root, x.User)
	}
	if err != nil {
		if _, gone := e.joinable(r); gone != nil { // it has ended just now, and its root with it
			err = gone
		}
		return nil, err
	}
	if x.Privileged {
		if err := bundle.AllCapabilities(&p); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// joined calls do with a runtime that will join the container's namespaces. If a container has a
// user namespace of its own, this process joins those of its namespaces that lie outside of that
// user namespace, since the runtime would not be allowed to: see runc.Runtime.Without.
func (e *Engine) joined(id string, pid int, config *rspec.Spec, do func(runc.Runtime) error) error {
	var kinds, paths []string
	if config.Linux != nil && len(config.Linux.UIDMappings) > 0 {
		for _, ns := range config.Linux.Namespaces {
			if kind := string(ns.Type); ns.Path != "" && e.Runtime.CanLeaveOut(kind) {
				file := kind
				if ns.Type == rspec.NetworkNamespace {
					file = "net"
				}
				kinds, paths = append(kinds, kind), append(paths, process.Namespace(pid, file))
			}
		}
	}
	if len(kinds) == 0 {
		return do(e.Runtime)
	}
	dir, drop, err := e.execDir(id)
	if err != nil {
		return err
	}
	defer drop()
	runtime, err := e.Runtime.Without(id, dir, kinds)
	if err != nil {
		return err
	}
	return netns.Inside(paths, func() error { return do(runtime) })
}

// execState is the prefix of the names of directories that belong to one exec: it holds the process
// ID or a state directory of its own for the runtime. Each is locked as long as it is in use.
const execState = "exec-"

// execDir makes such a directory; drop removes it.
func (e *Engine) execDir(id string) (dir string, drop func(), err error) {
	e.sweepExecs(id)
	if dir, err = os.MkdirTemp(e.dir(id), execState); err != nil {
		return "", nil, err
	}
	held, err := lock(dir, unix.LOCK_SH)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // what stays goes with the next one
		held.Close()
	}, nil
}

// sweepExecs removes what execs that were killed have left.
func (e *Engine) sweepExecs(id string) {
	old, _ := filepath.Glob(filepath.Join(e.dir(id), execState+"*"))
	for _, path := range old {
		st, err := os.Stat(path)
		entries, rerr := os.ReadDir(path)
		// An empty one may be about to be locked.
		if err != nil || rerr != nil || len(entries) == 0 && time.Since(st.ModTime()) < time.Minute {
			continue
		}
		if held, err := lock(path, unix.LOCK_EX); err == nil {
			_ = os.RemoveAll(path) // the next one tries again
			held.Close()
		}
	}
}

// lock locks a directory until the file is closed; it does not wait.
func lock(dir string, how int) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// OCI reads the OCI configuration of the container's last start.
func (e *Engine) OCI(id string) (*rspec.Spec, error) {
	// During a start it is a pipe with one reader, the runtime: see runc.Runtime.Begin. To
	// open it as a file would wait, and to read it would take what is not for us.
	f, err := os.OpenFile(filepath.Join(e.dir(id), "config.json"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", id[:12], ErrNotRunning)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", id[:12], ErrNotRunning)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	var s rspec.Spec
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("config.json of %s: %w", id[:12], err)
	}
	return &s, nil
}

// FilesOf are the files of a running container that a container which joins its network shares.
func (e *Engine) FilesOf(r Record) (network.Joined, error) {
	var j network.Joined
	config, err := e.OCI(r.ID)
	if err != nil {
		return j, err
	}
	for _, m := range config.Mounts {
		switch m.Destination {
		case "/etc/hosts":
			j.Hosts = m.Source
		case "/etc/resolv.conf":
			j.ResolvConf = m.Source
		}
	}
	return j, nil
}

func hasName(env []string, name string) bool {
	for _, kv := range env {
		if strings.HasPrefix(kv, name+"=") {
			return true
		}
	}
	return false
}
