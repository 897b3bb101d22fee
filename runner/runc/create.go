// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	cmd     *exec.Cmd
	config  string // the file
	log     string
	pid     string
	// feed is where runc, which was executed already, reads the configuration: both ends of
	// a pipe, so that opening it waits for nobody, and runc reads the end if we are killed.
	feed    *os.File
	started chan error
}

// Begin begins to create a container in the directory bundle, whose configuration comes
// with Finish. runc is executed at once and waits for it: what it needs to start, some
// milliseconds, passes while the caller makes what the configuration tells of. The streams
// are the caller's to close, after Finish or Abandon.
func (r Runtime) Begin(ctx context.Context, id, bundle string, s Streams) (*Creation, error) {
	c := &Creation{
		runtime: r,
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
	return c.cmd.Start()
}

// Finish hands the configuration over and returns the process ID of the container's first
// process, which by then is nobody's child and waits to begin.
func (c *Creation) Finish(config []byte) (pid int, err error) {
	if c.feed == nil {
		if err := os.WriteFile(c.config, config, 0o600); err != nil {
			return 0, err
		}
		c.started <- c.start()
	}
	if err := <-c.started; err != nil {
		err = c.runtime.explain("create", err, c.log)
		if c.feed != nil {
			err = errors.Join(err, closeFile(&c.feed), c.removeConfig())
		}
		return 0, err
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
		err = errors.Join(err, closeFile(&c.feed), os.Remove(c.config), os.WriteFile(c.config, config, 0o600))
	}
	return pid, err
}

// Abandon ends a creation that was begun and is not to be finished. After Finish it does
// nothing.
func (c *Creation) Abandon() error {
	if c.feed == nil {
		return nil
	}
	if err := <-c.started; err == nil {
		// It has not read anything, and so has not done anything.
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // it was killed
	}
	return errors.Join(closeFile(&c.feed), c.removeConfig())
}

// removeConfig removes the file or the pipe that leads nowhere any more.
func (c *Creation) removeConfig() error {
	if err := os.Remove(c.config); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// A Gate lets a created container begin. It is a process that outlives us; see
// runner/rootless/gate.c. It is started with Start, or another process takes its part.
type Gate struct {
	// FIFO is where the container's first process waits; empty if the runtime alone knows.
	FIFO string
	// Far is what the process gets, and tells it what to do.
	Far *os.File

	near    *os.File
	cmd     *exec.Cmd
	runtime Runtime
	id      string
}

// Gate makes the gate of a container.
func (r Runtime) Gate(id string) (*Gate, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	g := &Gate{Far: os.NewFile(uintptr(fds[0]), "gate"), near: os.NewFile(uintptr(fds[1]), "latch"), runtime: r, id: id}
	if filepath.Base(r.Command) == "runc" {
		g.FIFO = filepath.Join(r.Root, id, "exec.fifo")
	}
	return g, nil
}

// Start starts a process that is the gate and nothing else.
func (g *Gate) Start() error {
	g.cmd = exec.Command("/proc/self/exe")
	g.cmd.Args = []string{"podunit-gate", g.FIFO}
	if g.FIFO == "" {
		g.cmd.Args = append(g.cmd.Args, g.runtime.Command, "--root", g.runtime.Root, "start", g.id)
	}
	g.cmd.Env = environment()
	g.cmd.Dir = "/"
	g.cmd.ExtraFiles = []*os.File{g.Far}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return g.cmd.Start()
}

// Open lets the container begin.
func (g *Gate) Open() error {
	// The end of Far's other holders is the process's, if it died.
	err := errors.Join(closeFile(&g.Far), unix.Shutdown(int(g.near.Fd()), unix.SHUT_WR))
	if err == nil && g.cmd != nil {
		err = g.cmd.Wait()
		g.cmd = nil
	} else if err == nil {
		if _, err = g.near.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			err = errors.New("the container did not come to it")
		}
	}
	if err = errors.Join(err, closeFile(&g.near)); err != nil {
		return fmt.Errorf("%s start: %w", filepath.Base(g.runtime.Command), err)
	}
	return nil
}

// Discard ends the gate if it has not been opened.
func (g *Gate) Discard() error {
	if g == nil || g.near == nil {
		return nil
	}
	_, _ = g.near.Write([]byte{0}) // if anybody is there
	err := errors.Join(closeFile(&g.Far), closeFile(&g.near))
	if g.cmd != nil {
		_ = g.cmd.Wait() // with the status of a gate that was not opened
		g.cmd = nil
	}
	return err
}

// closeFile closes *f, once.
func closeFile(f **os.File) error {
	if *f == nil {
		return nil
	}
	err := (*f).Close()
	*f = nil
	return err
}
