// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/bundle"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"github.com/podunit/podunit/runner/step"
	"github.com/podunit/podunit/runner/unit"
	"go.podman.io/storage"
	"golang.org/x/sys/unix"
)

// Launch is one start of a container.
type Launch struct {
	Record *Record
	// New is true if the container is to be added to the storage first.
	New bool
	// Foreground, if set, are the streams of a container that is attached to us; a
	// container without it runs on its own.
	Foreground *runc.Streams
	// Unit is the systemd unit we are the start of, or empty.
	Unit string
	// JournalFields go with all that the container writes.
	JournalFields map[string]string
	// Cgroup is the container's, relative to the mount of cgroup v2; empty for none.
	Cgroup string
	// Controllers are those the container's cgroup can have.
	Controllers []string
	// Join is the pod to join, or nil.
	Join *Join
	// Network begins to connect the container, whose runtime directory is there; nil in a pod
	// that shares its network.
	Network func(context.Context) (Network, error)
	// NotifySocket is the service manager's, if the container is to see it.
	NotifySocket string
	// Ready is called with the status once the container's first process exists. On its
	// own it waits there until Ready calls begin; attached it may be running, and is killed
	// if Ready fails.
	Ready func(s Status, begin func() error) error

	network  Network // once it is begun
	rootfs   string  // once it is mounted
	config   []byte  // once it is made
	kept     []byte  // config without secrets, for a file
	creation *runc.Creation
	output   *output
	console  *console
	gate     *runc.Gate
	// connected waits for the network, once; connecting says that somebody has called it.
	connected  func() (Connection, error)
	connecting bool
}

// copied tells whether a process of ours reads what the container writes to pipes.
func (l *Launch) copied() bool { return l.output != nil && l.output.stdout != nil }

// Join is what a container shares with its pod.
type Join struct {
	PodID, PodName string
	PID            int      // the infra process
	Dir            string   // with hosts, resolv.conf and hostname
	Share          []string // ipc, net, uts, pid, cgroup
	HostNetwork    bool
	IPs            []string
	IDMapping      spec.IDMapping
	Mounts         []spec.Mount
}

// Network is a network being made while other steps go on.
type Network interface {
	// Path is the network namespace, at once; empty for the host's.
	Path() string
	// Made returns when the namespace is there, or cannot be made.
	Made() error
	// Mode is none, host, pasta or ns.
	Mode() string
	// Connect begins to make the network work.
	Connect()
	// Wait returns when the network works; it calls Connect. The files hosts and resolv.conf
	// lie in the runtime directory of whom it is for from the beginning, and are filled by then.
	Wait(ctx context.Context) (Connection, error)
	// Close takes it down again.
	Close() error
}

// Connection is a network that works.
type Connection struct {
	Mode      string // none, host, pasta, ns
	NetNSPath string // empty for the host's
	HelperPID int    // pasta, or 0
	IPs       []string
	Ports     []spec.PortMapping // as published: each has a host port
}

// Start starts the container. What it did is undone if it fails; then the container is as
// before, and one that was New does not exist. With Foreground it returns the status of
// the ended container as code.
func (e *Engine) Start(ctx context.Context, l Launch) (code int, err error) {
	r := l.Record
	var (
		rootfs string
		conn   Connection
		status = Status{Unit: l.Unit, Cgroup: l.Cgroup}
		label  labels
	)
	if label.process, label.mount, err = bundle.Labels(&r.Spec.Security, selinuxEnabled()); err != nil {
		return 0, err
	}
	if !l.New { // after a reboot it is gone
		if err := os.MkdirAll(e.dir(r.ID), 0o700); err != nil {
			return 0, err
		}
	}
	begun := step.Step{
		Name: "network begun",
		Do: func(ctx context.Context) error {
			if l.Network == nil {
				return nil
			}
			var err error
			if l.network, err = l.Network(ctx); err != nil {
				return err
			}
			l.connected = sync.OnceValues(func() (Connection, error) { return l.network.Wait(ctx) })
			conn.Mode, conn.NetNSPath = l.network.Mode(), l.network.Path()
			return nil
		},
		Undo: func(context.Context) error { return l.closeNetwork() },
	}
	steps := []step.Step{begun}
	if l.Foreground == nil {
		steps = append(steps, step.Step{
			Name: "runtime begun",
			Do:   func(ctx context.Context) error { return e.begin(ctx, &l) },
			Undo: func(context.Context) error { return l.abandon() },
		})
	}
	if l.New {
		// The network takes a while, and begins before the container is made; it has files in the
		// container's directory, which is marked before. It must go before the container, whose
		// removal knows nothing of a pasta that is still starting.
		goes := begun
		goes.Do = func(context.Context) error { return nil }
		create := e.createSteps(r)
		steps = slices.Concat(create[:1], steps, create[1:], []step.Step{goes})
	}
	connected := step.Step{
		Name: "network",
		Do: func(ctx context.Context) error {
			if l.network == nil {
				return nil
			}
			l.connecting = true
			var err error
			if conn, err = l.connected(); err != nil {
				return err
			}
			status.NetNS, status.PastaPID, status.IPs, status.Ports = conn.Mode, conn.HelperPID, conn.IPs, conn.Ports
			return e.saveStatus(r.ID, status)
		},
	}
	steps = append(steps,
		step.Step{
			Name: "rootfs",
			Do: func(context.Context) error {
				var err error
				rootfs, err = e.mountRootfs(*r, label.mount)
				l.rootfs = rootfs
				return err
			},
			Undo: func(context.Context) error {
				_, err := e.Store.Unmount(r.ID, true)
				return err
			},
		},
		step.Step{
			Name: "bundle",
			Do: func(context.Context) error {
				var err error
				l.config, l.kept, err = e.config(l, rootfs, conn, label)
				return err
			},
		},
	)
	if l.Foreground != nil {
		steps = append(steps, connected, step.Step{
			Name: "run",
			Do: func(ctx context.Context) error {
				var err error
				code, err = e.foreground(ctx, l, &status)
				return err
			},
			Undo: func(ctx context.Context) error { return e.Runtime.Delete(ctx, r.ID) },
		})
		err = step.Run(ctx, undoGrace, steps)
		return code, err
	}
	var begin func() error
	steps = append(steps,
		step.Step{
			Name: "run",
			Do: func(ctx context.Context) error {
				var err error
				begin, err = e.background(&l, &status)
				return err
			},
			Undo: func(ctx context.Context) error {
				return errors.Join(l.gate.Discard(), e.Runtime.Delete(ctx, r.ID))
			},
		},
		// While the runtime was at work, so was pasta; the container has not begun yet.
		connected,
		step.Step{
			Name: "ready",
			Do: func(context.Context) error {
				// The manager takes no notice of the end of a process that is not its child.
				if err := l.creation.Close(); err != nil {
					return err
				}
				if l.Ready == nil {
					return begin()
				}
				return l.Ready(status, begin)
			},
		},
	)
	return 0, step.Run(ctx, undoGrace, steps)
}

func (l *Launch) closeNetwork() error {
	if l.network == nil {
		return nil
	}
	if l.connecting {
		_, _ = l.connected() // it writes into the container's directory; its fault is nobody's any more
	}
	return l.network.Close()
}

func (e *Engine) mountRootfs(r Record, label string) (string, error) {
	if fs := r.Spec.Rootfs; fs != nil {
		st, err := os.Stat(fs.Path)
		if err == nil && !st.IsDir() {
			err = unix.ENOTDIR
		}
		if err != nil {
			return "", fmt.Errorf("--rootfs %s: %w", fs.Path, err)
		}
		if fs.Overlay {
			return e.overlay(r, "rootfs", spec.Mount{Source: fs.Path})
		}
		return fs.Path, nil
	}
	path, err := e.Store.Mount(r.ID, label)
	if err != nil {
		return "", fmt.Errorf("mount the root of container %s: %w", r.Name, err)
	}
	return path, nil
}

// begin has the runtime start to create a container that runs on its own; background
// feeds it.
func (e *Engine) begin(ctx context.Context, l *Launch) (err error) {
	streams := runc.Streams{Console: consoleName}
	if l.Record.Spec.TTY {
		if d := l.Record.Spec.Log.Driver; d == logNone || d == logPassthrough {
			return fmt.Errorf("--tty with --detach and --log-driver=%s: nobody would hold the terminal; leave one of them out", d)
		}
		if l.console, err = e.listenConsole(l.Record.ID); err != nil {
			return err
		}
	} else {
		if l.output, err = openOutput(*l.Record); err != nil {
			return err
		}
		streams = l.output.Streams
	}
	if l.creation, err = e.Runtime.Begin(ctx, l.Record.ID, e.dir(l.Record.ID), streams); err != nil {
		return errors.Join(err, l.closeStreams())
	}
	return nil
}

// abandon undoes begin, if background has not fed the runtime.
func (l *Launch) abandon() error { return errors.Join(l.creation.Abandon(), l.closeStreams()) }

func (l *Launch) closeStreams() error {
	var errs []error
	if l.console != nil {
		errs = append(errs, l.console.close())
		l.console = nil
	}
	if l.output != nil {
		errs = append(errs, l.output.close())
	}
	return errors.Join(errs...)
}

// background creates a container that runs on its own once begin is called.
func (e *Engine) background(l *Launch, s *Status) (begin func() error, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.gate.Discard())
		}
		err = errors.Join(err, l.closeStreams()) // what their users have is theirs
	}()
	if l.gate, err = e.Runtime.Gate(l.Record.ID); err != nil {
		return nil, err
	}
	if l.network != nil {
		if err := l.network.Made(); err != nil {
			return nil, err
		}
	}
	unit.ExpectMoves() // by the runtime, of the container
	if err := l.creation.Feed(runc.Config{Read: l.config, Kept: l.kept}); err != nil {
		return nil, err
	}
	// From here on the runtime is at work, and what is done beside it is not in its way.
	if l.network != nil {
		l.connecting = true
		go func() { _, _ = l.connected() }() // the next step has its result
	}
	if l.copied() {
		s.LogPID, err = l.output.copy(l)
	}
	if err == nil && (l.gate.FIFO == "" || l.console == nil && !l.copied()) {
		err = l.gate.Start()
	}
	pid, cerr := l.creation.Wait()
	if err := errors.Join(err, cerr); err != nil {
		return nil, errors.Join(err, e.Runtime.Delete(context.Background(), l.Record.ID))
	}
	if l.console != nil {
		if s.LogPID, err = e.holdTerminal(l, l.console); err != nil {
			return nil, errors.Join(err, e.Runtime.Delete(context.Background(), l.Record.ID))
		}
	}
	step.Crash("launched")
	return l.gate.Open, e.began(*l, s, pid)
}

// foreground runs a container attached to us until it ends.
func (e *Engine) foreground(ctx context.Context, l Launch, s *Status) (int, error) {
	streams := *l.Foreground
	if !l.Record.Spec.TTY && (streams.Stdout != nil && isSocket(streams.Stdout) || streams.Stderr != nil && isSocket(streams.Stderr)) {
		out, err := openOutput(*l.Record)
		if err != nil {
			return 0, err
		}
		defer out.close()
		if out.stdout != nil {
			if s.LogPID, err = out.copy(&l); err != nil {
				return 0, err
			}
		}
		streams.Stdout, streams.Stderr = out.Stdout, out.Stderr
	}
	there, failed := false, error(nil)
	code, err := e.Runtime.Foreground(ctx, l.Record.ID, e.dir(l.Record.ID), runc.Config{Read: l.config, Kept: l.kept}, streams, func(pid int) {
		there = true
		if failed = e.began(l, s, pid); failed == nil && l.Ready != nil {
			failed = l.Ready(*s, func() error { return nil })
		}
		if failed != nil && s.StartTicks != 0 { // else it has ended
			failed = errors.Join(failed, EndProcess(pid, s.StartTicks, unix.SIGKILL, killWait))
		}
	})
	if !there && err == nil {
		// Its status is none of the container's. At a terminal it gets the signal that we got.
		if failed = ctx.Err(); failed == nil {
			failed = fmt.Errorf("the runtime ended with status %d before there was a container", code)
		}
	}
	if err := errors.Join(err, failed); err != nil {
		return 0, err
	}
	return code, e.Ended(*l.Record, code)
}

// began notes that the container's first process runs.
func (e *Engine) began(l Launch, s *Status, pid int) error {
	s.PID, s.StartTicks, s.StartedAt = pid, StartTicks(pid), time.Now().UTC()
	return errors.Join(e.User.Keep(pid), e.saveStatus(l.Record.ID, *s))
}

// Ended notes how the container ended; 128+N is a death by signal N. Of one that somebody has
// removed by now nothing is noted.
func (e *Engine) Ended(r Record, code int) error {
	s, err := e.Status(r.ID)
	if err != nil {
		return err
	}
	err = e.saveExit(r.ID, Exit{
		StartedAt: s.StartedAt, FinishedAt: time.Now().UTC(), Code: code,
		OOMKilled: code == 128+int(unix.SIGKILL) && s.Cgroup != "" && oomKilled(filepath.Join(cgroupMount, s.Cgroup)),
	})
	if errors.Is(err, storage.ErrContainerUnknown) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Warm has package json look at what a start writes. It does so at the first use of a type,
// and needs half a millisecond for the two; a start calls this beside other work.
func Warm() {
	_, _ = json.Marshal(Record{})     // nothing that could fail
	_, _ = json.Marshal(rspec.Spec{}) // likewise
}

// config is the OCI configuration as the runtime reads it, and kept as it may lie in a file.
func (e *Engine) config(l Launch, rootfs string, conn Connection, label labels) (config, kept []byte, err error) {
	spec, err := e.oci(l, rootfs, conn, label)
	if err != nil {
		return nil, nil, err
	}
	if config, err = json.Marshal(spec); err != nil {
		return nil, nil, err
	}
	less := masked(spec, l.Record.Spec.Secrets)
	if less == spec {
		return config, config, nil
	}
	kept, err = json.Marshal(less)
	return config, kept, err
}
