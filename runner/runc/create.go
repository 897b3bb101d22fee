// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// configName is the configuration in a bundle. Source: OCI runtime specification, bundle.
const configName = "config.json"

// A Creation is a container that the runtime creates. It ends with Finish or Abandon.
type Creation struct {
	runtime Runtime
	id      string
	cmd     *exec.Cmd
	config  string // the file
	log     string
	pid     string
	// feed is where runc, which was executed already, reads the configuration: both ends of
	// a pipe, so that opening it waits for nobody, and runc reads the end if we are killed.
	feed    *os.File
	started chan error
	gate    *gate
}

// Begin begins to create a container in the directory bundle, whose configuration comes
// with Finish. runc is executed at once and waits for it: what it needs to start, some
// milliseconds, passes while the caller makes what the configuration tells of. The streams
// are the caller's to close, after Finish or Abandon.
func (r Runtime) Begin(ctx context.Context, id, bundle string, s Streams) (*Creation, error) {
	c := &Creation{
		runtime: r,
		id:      id,
		config:  filepath.Join(bundle, configName),
		log:     filepath.Join(bundle, "runtime.log"),
		pid:     filepath.Join(bundle, "pid"),
		started: make(chan error, 1),
	}
	args := []string{"create", "--bundle", bundle, "--pid-file", c.pid}
	if s.Console != "" {
		args = append(args, "--console-socket", s.Console)
	}
	c.cmd = r.command(ctx, c.log, append(args, id)...)
	c.cmd.Dir = bundle // the socket's whole path may be too long
	s.wire(c.cmd)
	if filepath.Base(r.Command) != "runc" {
		return c, nil // another may want a file of some size
	}
	if err := c.removeConfig(); err != nil {
		return nil, err
	}
	if err := unix.Mkfifo(c.config, 0o600); err != nil {
		return nil, &fs.PathError{Op: "mkfifo", Path: c.config, Err: err}
	}
	var err error
	if c.feed, err = os.OpenFile(c.config, os.O_RDWR, 0); err != nil {
		return nil, errors.Join(err, c.removeConfig())
	}
	go func() { c.started <- c.start() }()
	return c, nil
}

func (c *Creation) start() error {
	if c.runtime.sealed != nil {
		c.cmd.Path = c.runtime.sealed()
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	var err error
	if c.gate, err = c.runtime.gate(c.id); err != nil {
		c.end()
	}
	return err
}

// end ends the runtime, which has not read anything and so has not done anything.
func (c *Creation) end() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
}

// Finish hands the configuration over and returns the process ID of the container's first
// process, which by then is nobody's child and waits to begin. It begins when begin is
// called, and also when our process ends: see runner/rootless/gate.c.
func (c *Creation) Finish(config []byte) (pid int, begin func() error, err error) {
	if c.feed == nil {
		if err := os.WriteFile(c.config, config, 0o600); err != nil {
			return 0, nil, err
		}
		c.started <- c.start()
	}
	if err := <-c.started; err != nil {
		err = c.runtime.explain("create", err, c.log)
		if c.feed != nil {
			err = errors.Join(err, c.closeFeed(), c.removeConfig())
		}
		return 0, nil, err
	}
	if feed := c.feed; feed != nil {
		// It fits into no pipe if it is long, and the runtime may end before it has read it.
		go func() { _, _ = feed.Write(config) }()
	}
	err = c.cmd.Wait()
	if err != nil {
		err = c.runtime.explain("create", err, c.log)
	} else {
		pid, err = ReadPID(c.pid)
	}
	if c.feed != nil {
		// A file again, for exec and for who wants to know.
		err = errors.Join(err, c.closeFeed(), os.Remove(c.config), os.WriteFile(c.config, config, 0o600))
	}
	if err != nil {
		c.gate.discard()
		return 0, nil, err
	}
	return pid, func() error {
		if err := c.gate.open(); err != nil {
			return fmt.Errorf("%s start: %w", filepath.Base(c.runtime.Command), err)
		}
		return nil
	}, nil
}

// Abandon ends a creation that was begun and is not to be finished. After Finish it does
// nothing.
func (c *Creation) Abandon() error {
	if c.feed == nil {
		return nil
	}
	if err := <-c.started; err == nil {
		c.end()
		c.gate.discard()
	}
	return errors.Join(c.closeFeed(), c.removeConfig())
}

// removeConfig removes the file or the pipe that leads nowhere any more.
func (c *Creation) removeConfig() error {
	if err := os.Remove(c.config); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *Creation) closeFeed() error {
	if c.feed == nil {
		return nil
	}
	err := c.feed.Close()
	c.feed = nil
	return err
}

// A gate is a process that lets a container begin. Closing the latch opens it.
type gate struct {
	cmd   *exec.Cmd
	latch *os.File
}

func (r Runtime) gate(id string) (*gate, error) {
	held, latch, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"podunit-gate", "", r.Command, "--root", r.Root, "start", id}
	if filepath.Base(r.Command) == "runc" {
		// What its start does, for the price of a system call.
		cmd.Args = []string{"podunit-gate", filepath.Join(r.Root, id, "exec.fifo")}
	}
	cmd.Env = environment()
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{held}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, latch.Close())
	}
	return &gate{cmd, latch}, nil
}

func (g *gate) open() error { return errors.Join(g.latch.Close(), g.cmd.Wait()) }

// discard ends the gate without opening it.
func (g *gate) discard() {
	_ = g.cmd.Process.Kill()
	_ = g.latch.Close()
	_ = g.cmd.Wait() // it was killed
}
