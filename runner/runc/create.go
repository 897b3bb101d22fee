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
	"time"

	"github.com/podunit/podunit/runner/slack"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// configName is the configuration in a bundle. Source: OCI runtime specification, bundle.
const configName = "config.json"

// A Creation is a container on its way from the runtime's start to its own: Create executes the
// runtime, Configure tells it what to make, Gate or KeepGate says who will let the container
// begin, Wait returns its first process, Close waits for the runtime's end, and Open lets the
// container begin. Discard gives it up at any point before Open.
type Creation struct {
	runtime Runtime
	cmd     *exec.Cmd
	config  string // path of the configuration
	log     string
	pid     string // path of the file with the process ID
	gate    *gate
	// feed is where runc, which was executed already, reads the configuration: both ends of a
	// pipe, so that opening it waits for nobody, and runc reads the end if we are killed. It is
	// nil for other runtimes, which may want a file of some size.
	// It is nil also where the runtime is executed later.
	feed    *os.File
	started chan error
	fed     bool   // the configuration is the runtime's
	kept    []byte // the configuration as it may lie in a file
	// written is the inotify instance that tells of pid. It goes with this process: closing it
	// takes 10 ms, in which the kernel makes sure that nobody looks at it any more.
	written *os.File
	ended   chan error // gets what the command's Wait returns
	// slack is what the container's timers get, after that of the runtime's; 0 if those have the
	// usual one.
	slack time.Duration
}

// Create begins to create a container in the directory bundle. runc is executed at once and
// waits for its configuration: what it needs to start, some milliseconds, passes while the
// caller makes the configuration. With later it is executed when it has its configuration, as
// Config.Inside needs. The streams are the caller's to close, after Configure or Discard.
func (r Runtime) Create(ctx context.Context, id, bundle string, s Streams, later bool) (*Creation, error) {
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
	args := append([]string{"create", "--bundle", bundle, "--pid-file", c.pid}, r.configuredFlags()...)
	if s.Console != "" {
		args = append(args, "--console-socket", s.Console)
	}
	args = append(args, s.preserve()...)
	c.cmd = r.command(ctx, c.log, append(args, id)...)
	c.cmd.Dir = bundle // the socket's whole path may be too long
	s.wire(c.cmd)
	var err error
	if c.gate, err = r.newGate(id); err != nil {
		return nil, err
	}
	if later || filepath.Base(r.Command) != "runc" {
		return c, nil
	}
	if err := c.makePipe(); err != nil {
		return nil, errors.Join(err, c.gate.discard())
	}
	// A user has 128 inotify instances, and containers may need them all; then it takes a
	// millisecond more.
	c.written, _ = watchMoves(bundle)
	go func() { c.started <- c.start() }()
	return c, nil
}

func (c *Creation) start() error {
	if c.runtime.sealed != nil {
		c.cmd.Path = c.runtime.sealed()
	}
	if c.feed == nil || hasSELinux() { // whose policy may let us start a process and not change it
		return c.cmd.Start()
	}
	var err error
	c.slack, err = slack.Start(c.cmd)
	return err
}

// makePipe puts a pipe in the place of the configuration.
func (c *Creation) makePipe() error {
	if err := removeFile(c.config); err != nil {
		return err
	}
	if err := unix.Mkfifo(c.config, 0o600); err != nil {
		return &fs.PathError{Op: "mkfifo", Path: c.config, Err: err}
	}
	var err error
	if c.feed, err = os.OpenFile(c.config, os.O_RDWR, 0); err != nil {
		return errors.Join(err, removeFile(c.config))
	}
	return nil
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

// Config is a configuration.
type Config struct {
	Read []byte // what the runtime reads
	Kept []byte // what lies in the bundle afterwards: the same without what is secret in it
	// Inside, if there is one, executes the runtime in namespaces that Read does not have, because
	// the runtime could not join them: see LeaveOut.
	Inside func(execute func() error) error
}

// execute starts the runtime where it must be.
func (c Config) execute(start func() error) error {
	if c.Inside == nil {
		return start()
	}
	return c.Inside(start)
}

// Configure hands the configuration over. After an error nothing has been created.
func (c *Creation) Configure(config Config) error {
	if c.feed == nil {
		if err := os.WriteFile(c.config, config.Read, 0o600); err != nil {
			return err
		}
		c.started <- config.execute(c.start)
	}
	if err := <-c.started; err != nil {
		err = c.runtime.explain("create", err, c.log)
		return errors.Join(err, closeFile(&c.feed), removeFile(c.config))
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
// after Configure.
func (c *Creation) Wait() (pid int, err error) {
	pid, err = c.await()
	if err == nil && c.slack != 0 {
		c.endSlack(pid)
	}
	// A file again, or another one, for exec and for who wants to know.
	return pid, errors.Join(err, closeFile(&c.feed), os.Remove(c.config), os.WriteFile(c.config, c.kept, 0o600))
}

// endSlack gives the container's first process, which has inherited the runtime's slack, the usual
// one. It gives it to the main thread, and runc's init executes the program in that one: it locks
// its work to it, and the other threads end with the execution. What the program makes has the
// usual slack then.
//
// The kernel keeps a second value in each process, the slack of who made it, and nobody can change
// that. It comes back only in a first process that calls PR_SET_TIMERSLACK(2const) with 0, or
// leaves a realtime policy: it has slack.Late then. Hooks of the runtime have slack.Late, and what
// they leave behind.
//
// A wider slack is no reason to give a container up, and why a process is gone, Close tells.
func (c *Creation) endSlack(pid int) {
	if err := slack.Set(pid, c.slack); err != nil {
		logrus.Debugf("the container's timers may be up to %v late: %v", slack.Late, err)
	}
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

// Close returns when the runtime has ended. Until then the container's first process is the
// runtime's child, and the service manager takes no notice of its end.
func (c *Creation) Close() error {
	err := <-c.ended
	c.ended <- err
	if err != nil {
		return c.runtime.explain("create", err, c.log)
	}
	return nil
}

// Open lets the container begin. It comes after Close.
func (c *Creation) Open() error { return c.gate.open() }

// Discard gives up a creation that has not been opened. What the runtime keeps of the container
// by then, Runtime.Delete removes.
func (c *Creation) Discard() error {
	err := c.gate.discard()
	if c.feed == nil || c.fed {
		return err
	}
	if serr := <-c.started; serr == nil {
		// It has not read anything, and so has not done anything.
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait() // it was killed
	}
	return errors.Join(err, closeFile(&c.feed), removeFile(c.config))
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
