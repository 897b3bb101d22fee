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

	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/network"
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
	p, _, err := e.process(r, x)
	if err != nil {
		return 0, err
	}
	process, err := processFile(p)
	if err != nil {
		return 0, err
	}
	defer process.Close()
	f, err := os.CreateTemp(e.dir(r.ID), "exec-*.log")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	if err := f.Close(); err != nil {
		return 0, err
	}
	run := runc.Execution{ID: r.ID, Process: process, Log: f.Name(), TTY: x.TTY, Streams: x.Streams, Umask: p.User.Umask}
	if x.Detach {
		return 0, e.Runtime.ExecDetached(ctx, run)
	}
	return e.Runtime.Exec(ctx, run)
}

// process is the process section of what is to be executed in a container that runs.
func (e *Engine) process(r Record, x Exec) (*rspec.Process, Status, error) {
	s, err := e.Status(r.ID)
	if err != nil {
		return nil, s, err
	}
	if s.PID == 0 {
		return nil, s, fmt.Errorf("%s: %w", r.Name, ErrNotRunning)
	}
	config, err := e.OCI(r.ID)
	if err != nil {
		return nil, s, err
	}
	p := *config.Process
	p.Args, p.Terminal, p.ConsoleSize = x.Command, x.TTY, nil
	p.Env = append(e.unmask(append([]string{}, p.Env...), s.PID, r.Spec.Secrets), x.Env...)
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
			return nil, s, err
		}
	}
	if x.Privileged {
		if err := bundle.AllCapabilities(&p); err != nil {
			return nil, s, err
		}
	}
	return &p, s, nil
}

// processFile is a file in memory with what is to be executed: its environment is for nobody else to read, and a
// runner that is killed leaves nothing.
func processFile(p *rspec.Process) (*os.File, error) {
	fd, err := unix.MemfdCreate("process.json", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "process.json")
	if err := json.NewEncoder(f).Encode(p); err != nil {
		return nil, errors.Join(err, f.Close())
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
