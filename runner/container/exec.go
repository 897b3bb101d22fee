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
}

// ErrNotRunning says that the container has no process to join.
var ErrNotRunning = errors.New("container is not running")

// Exec runs the process and returns its exit status; with Detach it does not wait.
func (e *Engine) Exec(ctx context.Context, r Record, x Exec) (int, error) {
	s, err := e.Status(r.ID)
	if err != nil {
		return 0, err
	}
	if s.PID == 0 {
		return 0, fmt.Errorf("%s: %w", r.Name, ErrNotRunning)
	}
	config, err := e.OCI(r.ID)
	if err != nil {
		return 0, err
	}
	p := *config.Process
	p.Args, p.Terminal, p.ConsoleSize = x.Command, x.TTY, nil
	p.Env = append(append([]string{}, p.Env...), x.Env...)
	if x.TTY && !hasName(p.Env, "TERM") {
		p.Env = append(p.Env, "TERM=xterm")
	}
	if x.WorkDir != "" {
		p.Cwd = x.WorkDir
	}
	if x.User != "" {
		// The root as the container has it now: users may have been added.
		root := fmt.Sprintf("/proc/%d/root", s.PID)
		if err := bundle.SetUser(&p, root, x.User); err != nil {
			return 0, err
		}
	}
	if x.Privileged {
		if err := bundle.AllCapabilities(&p); err != nil {
			return 0, err
		}
	}
	e.sweepExecs(r.ID)
	f, err := os.CreateTemp(e.dir(r.ID), execFile+"*.json")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	log := execLog(f.Name())
	defer removeExec(f.Name())
	// Held as long as this process lives: a sweep leaves the files alone.
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); err != nil {
		return 0, err
	}
	if err := json.NewEncoder(f).Encode(p); err != nil {
		return 0, err
	}
	if p.User.Umask != nil {
		// The runtime sets it for a container's first process only, and leaves others with ours.
		defer unix.Umask(unix.Umask(int(*p.User.Umask)))
	}
	code := 0
	err = e.joined(r.ID, execState(f.Name()), s.PID, config, func(runtime runc.Runtime) error {
		var err error
		if x.Detach {
			return runtime.ExecDetached(ctx, r.ID, f.Name(), log, x.Streams)
		}
		code, err = runtime.Exec(ctx, r.ID, f.Name(), log, x.TTY, x.Streams)
		return err
	})
	return code, err
}

// joined does something with the runtime that joins the container's namespaces. Those that were
// made for a container with a user namespace of its own, but not by it, are joined here, where we
// may: see runc.Runtime.Without, which needs the directory dir.
func (e *Engine) joined(id, dir string, pid int, config *rspec.Spec, do func(runc.Runtime) error) error {
	var kinds, paths []string
	if len(config.Linux.UIDMappings) > 0 {
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
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	runtime, err := e.Runtime.Without(id, dir, kinds)
	if err != nil {
		return err
	}
	return netns.Inside(paths, func() error { return do(runtime) })
}

// execFile is how the names of an exec's files in the container's directory begin: what it is
// to run, in JSON, and beside it the runtime's log and a state of its own for the runtime.
const execFile = "exec-"

func execLog(file string) string   { return strings.TrimSuffix(file, ".json") + ".log" }
func execState(file string) string { return strings.TrimSuffix(file, ".json") + ".state" }

// removeExec removes the files of an exec; what stays goes with the next one.
func removeExec(file string) {
	_ = os.Remove(execLog(file))
	_ = os.RemoveAll(execState(file))
	_ = os.Remove(file)
}

// sweepExecs removes the files of execs that were killed.
func (e *Engine) sweepExecs(id string) {
	old, _ := filepath.Glob(filepath.Join(e.dir(id), execFile+"*.json"))
	for _, path := range old {
		f, err := os.Open(path)
		if err != nil {
			continue // it has just ended
		}
		st, err := f.Stat()
		// An empty one may be about to be locked.
		if err == nil && (st.Size() > 0 || time.Since(st.ModTime()) > time.Minute) && unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			removeExec(path)
		}
		f.Close()
	}
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

// FilesOf are the files of a running container that one which joins its network shares.
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
