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
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// configName is the configuration in a bundle. Source: OCI runtime specification, bundle.
const configName = "config.json"

// A Creation is a container that the runtime creates: Begin, Feed, Wait, Close, or Begin and
// Abandon.
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
	fed     bool   // the configuration is the runtime's
	kept    []byte // the configuration as it may lie in a file
	// written is the inotify instance that tells of pid. It goes with this process: closing
	// it takes 10 ms, in which the kernel makes sure that nobody looks at it any more.
	written *os.File
	ended   chan error // gets what the command's Wait returns
	// slack is what the container's timers get, after that of the runtime's; 0 if those have
	// the usual one.
	slack time.Duration
}

// Begin begins to create a container in the directory bundle, whose configuration comes
// with Feed. runc is executed at once and waits for it: what it needs to start, some
// milliseconds, passes while the caller makes what the configuration tells of. The streams
// are the caller's to close, after Feed or Abandon.
func (r Runtime) Begin(ctx context.Context, id, bundle string, s Streams) (*Creation, error) {
	c := &Creation{
		runtime: r,
		config:  filepath.Join(bundle, configName),
		log:     filepath.Join(bundle, "runtime.log"),
		pid:     filepath.Join(bundle, "pid"),
		started: make(chan error, 1),
		ended:   make(chan error, 1),
	}
	// That of an earlier start would pass for this one's.
	if err := removeFile(c.pid); err != nil {
		return nil, err
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
	// A user has 128 inotify instances, and containers may need them all; then it takes a
	// millisecond more.
	c.written, _ = watchMoves(bundle)
	go func() { c.started <- c.start() }()
	return c, nil
}

// watchMoves returns a file that can be read from when a file gets its name in dir.
// Source: inotify(7).
func watchMoves(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		return nil, errors.Join(fmt.Errorf("inotify: %s: %w", dir, err), f.Close())
	}
	return f, nil
}

func (c *Creation) start() error {
	if c.runtime.Sealed != nil {
		c.cmd.Path = c.runtime.Sealed()
	}
	if err := c.cmd.Start(); err != nil {
		return err
	}
	if own, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err == nil && c.feed != nil {
		// Who may not do this for the runtime may not for the container either, and it stays as it was.
		if setSlack(c.cmd.Process.Pid, slack) == nil {
			c.slack = time.Duration(own)
		}
	}
	return nil
}

// slack is how late the kernel may wake the runtime, which has no timer of its own to keep.
// With the usual 50 microseconds, Go's monitor thread wakes up twelve times in a millisecond
// to see whether anything hangs, and takes a twentieth of the time that a start has. What the
// runtime forks inherits it.
// Source: PR_SET_TIMERSLACK(2const); sysmon in Go's runtime/proc.go.
const slack = 10 * time.Millisecond

// setSlack sets the slack of the timers of a process with one thread. What the process itself
// takes for the default, that of who forked it, stays.
// Source: proc_pid_timerslack_ns(5).
func setSlack(pid int, d time.Duration) error {
	err := os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", pid), strconv.AppendInt(nil, d.Nanoseconds(), 10), 0)
	if err != nil {
		return fmt.Errorf("timer slack of process %d, which takes CAP_SYS_NICE: %w", pid, err)
	}
	return nil
}

// Config is a configuration.
type Config struct {
	Read []byte // what the runtime reads
	Kept []byte // what lies in the bundle afterwards: the same without what is secret in it
}

// Feed hands the configuration over. After an error nothing has been created.
func (c *Creation) Feed(config Config) error {
	if c.feed == nil {
		if err := os.WriteFile(c.config, config.Read, 0o600); err != nil {
			return err
		}
		c.started <- c.start()
	}
	if err := <-c.started; err != nil {
		err = c.runtime.explain("create", err, c.log)
		return errors.Join(err, closeFile(&c.feed), c.removeConfig())
	}
	c.fed, c.kept = true, config.Kept
	if feed := c.feed; feed != nil {
		// It fits into no pipe if it is long, and the runtime may end before it has read it.
		go func() { _, _ = feed.Write(config.Read) }()
	}
	go func() { c.ended <- c.cmd.Wait() }()
	return nil
}

// Wait returns the process ID of the container's first process, which waits to begin. It comes
// after Feed.
func (c *Creation) Wait() (pid int, err error) {
	pid, err = c.await()
	if err == nil && c.slack != 0 {
		// One that is gone needs none, and why it is, Close tells.
		if err = setSlack(pid, c.slack); errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			err = nil
		}
	}
	// A file again, or another one, for exec and for who wants to know.
	return pid, errors.Join(err, closeFile(&c.feed), os.Remove(c.config), os.WriteFile(c.config, c.kept, 0o600))
}

// await returns the process ID. runc writes it when all is done, under another name first, and
// then needs a millisecond to end.
func (c *Creation) await() (pid int, err error) {
	moved := make(chan struct{})
	if c.written != nil {
		go func() {
			// The events say no more than that there is something to look at.
			for events := make([]byte, 4096); ; {
				if _, err := c.written.Read(events); err != nil {
					return
				}
				if _, err := os.Stat(c.pid); err == nil {
					close(moved)
					return
				}
			}
		}()
	}
	select {
	case <-moved:
	case err := <-c.ended:
		c.ended <- err
		if err != nil {
			return 0, c.runtime.explain("create", err, c.log)
		}
	}
	return ReadPID(c.pid)
}

// Close returns when the runtime has ended, of which the container's first process is a child
// until then.
func (c *Creation) Close() error {
	if err := <-c.ended; err != nil {
		return c.runtime.explain("create", err, c.log)
	}
	return nil
}

// Abandon ends a creation that was begun and is not to be fed. After Feed it does nothing.
func (c *Creation) Abandon() error {
	if c.feed == nil || c.fed {
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
func (c *Creation) removeConfig() error { return removeFile(c.config) }

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
