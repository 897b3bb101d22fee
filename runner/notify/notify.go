// SPDX-License-Identifier: Apache-2.0

// Package notify speaks the service manager's readiness protocol: short
// datagrams to the socket named by $NOTIFY_SOCKET. Source: sd_notify(3). What
// the messages mean for a start is the caller's affair.
package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/podunit/podunit/runner/terminal"
	"golang.org/x/sys/unix"
)

// Env is the variable that names the socket. It must not reach a child: a
// container or helper that believes it could declare the unit ready.
const Env = "NOTIFY_SOCKET"

// BarrierTimeout is how long Barrier waits at most. The 5 s of systemd's own
// tools, see systemd-notify(1), are too short for a manager that reads its unit
// files again on a busy machine; the unit's start timeout is a limit as well.
const BarrierTimeout = 30 * time.Second

// A Socket is the way to the service manager. The zero value has nobody to
// talk to: every method does nothing and succeeds.
type Socket struct {
	path string
}

// FromEnv gives the socket the environment names, or the zero Socket.
func FromEnv(lookup func(string) (string, bool)) Socket {
	path, _ := lookup(Env)
	return Socket{path: path}
}

// Present tells whether a manager listens.
func (s Socket) Present() bool { return s.path != "" }

// Path is the value of $NOTIFY_SOCKET: a path, or "@" and an abstract name.
func (s Socket) Path() string { return s.path }

// Ready says that the service is up, with a line for its status.
func Ready(status string) []string {
	return []string{daemon.SdNotifyReady, Status(status)}
}

// Status is a line for the unit's status. systemd takes no more than one.
func Status(text string) string { return "STATUS=" + oneLine(text) }

// MainPID names the main process of the unit. It is believed only for a
// process in the unit's cgroup, and a PID as the sender's namespace sees it
// would be another process: it must be the manager's view.
func MainPID(pid int) string { return "MAINPID=" + strconv.Itoa(pid) }

// ExtendTimeout asks for another d from now before the start or stop timeout
// strikes. systemd counts in microseconds.
func ExtendTimeout(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}

// Send puts all assignments into one message, which the manager handles in one
// go. Empty assignments are left out.
func (s Socket) Send(assignments ...string) error {
	if !s.Present() {
		return nil
	}
	var b strings.Builder
	for _, a := range assignments {
		if a != "" {
			b.WriteString(a)
			b.WriteByte('\n')
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return s.send([]byte(b.String()), nil)
}

// Barrier waits until the manager has read everything sent before it. Without
// it a message of a process that exits at once can be lost: the manager can no
// longer tell which unit its sender belonged to. It waits BarrierTimeout at
// most, and not beyond ctx.
//
// The manager is handed the writing end of a pipe; when it comes to this
// message it closes it.
func (s Socket) Barrier(ctx context.Context) error {
	if !s.Present() {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("barrier on %s: %w", s.path, err)
	}
	defer r.Close()
	err = s.send([]byte("BARRIER=1"), unix.UnixRights(int(w.Fd())))
	// Our copy must be gone, or the pipe would never end.
	if cerr := w.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("barrier on %s: %w", s.path, cerr)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, BarrierTimeout,
		fmt.Errorf("the service manager did not answer within %s", BarrierTimeout))
	defer cancel()
	// A deadline in the past wakes the reader.
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	// Nothing is ever written: the read returns at the end of the pipe.
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("barrier on %s: %w", s.path, context.Cause(ctx))
	}
	return nil
}

func (s Socket) send(msg, rights []byte) error {
	// Vsock addresses are for virtual machines' own managers, never units.
	if s.path[0] != '/' && s.path[0] != '@' {
		return fmt.Errorf("%s=%q is neither a path nor an abstract socket (@name)", Env, s.path)
	}
	// The net package sends no descriptors on a connected datagram socket.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer unix.Close(fd)
	for {
		err = unix.Sendmsg(fd, msg, rights, &unix.SockaddrUnix{Name: s.path}, unix.MSG_NOSIGNAL)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("notify the service manager at %s: %w", s.path, err)
	}
	return nil
}

// oneLine keeps a text inside its assignment: a newline would start another. systemctl writes it on
// terminals as it is, and it may have words of a registry or of a container in it.
func oneLine(s string) string {
	return terminal.Line(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}
