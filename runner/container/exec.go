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
	"github.com/podunit/podunit/runner/netns"
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
	f, err := os.CreateTemp(e.dir(r.ID), "exec-*.json")
	if err != nil {
		return 0, err
	}
	log := strings.TrimSuffix(f.Name(), ".json") + ".log"
	defer os.Remove(f.Name())
	defer os.Remove(log)
	if err := errors.Join(json.NewEncoder(f).Encode(p), f.Close()); err != nil {
		return 0, err
	}
	code := 0
	err = e.joined(r.ID, s.PID, config, func(runtime runc.Runtime) error {
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
// may: see runc.Runtime.Without.
func (e *Engine) joined(id string, pid int, config *rspec.Spec, do func(runc.Runtime) error) error {
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
	dir, err := os.MkdirTemp(e.dir(id), "exec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	runtime, err := e.Runtime.Without(id, dir, kinds)
	if err != nil {
		return err
	}
	return netns.Inside(paths, func() error { return do(runtime) })
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

func hasName(env []string, name string) bool {
	for _, kv := range env {
		if strings.HasPrefix(kv, name+"=") {
			return true
		}
	}
	return false
}
