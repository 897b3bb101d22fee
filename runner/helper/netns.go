// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/podunit/podunit/runner/hint"
	"golang.org/x/sys/unix"
)

// Netns is the process that holds the network namespace of a user's named networks and runs their
// name server. See netns.c.
type Netns struct {
	// Program is aardvark-dns, and Names the directory of the names that it serves.
	Program, Names string
	// Dir is where those who have added names ask for the server, see AskForNames.
	Dir string
}

// namesSocket is in the directory of the namespace.
const namesSocket = "names.sock"

// Start starts the process through start, which calls its argument's Start in the namespace that it
// is to hold, and returns once those who want the name server can ask for it.
func (n Netns) Start(start func(*exec.Cmd) error) (*Running, error) {
	// The next one who asks tries again.
	socket, err := listening(filepath.Join(n.Dir, namesSocket), 128)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	cmd := command("podunit-netns", []string{n.Program, n.Names}, []string{"RUST_LOG=error"}, socket)
	cmd.Stdout = os.Stderr
	return startHolder(cmd, start)
}

// askLimit is how long the name server may take to start.
const askLimit = 30 * time.Second

// NamesError says that the name server could not be started.
type NamesError struct{ Status int } // of aardvark-dns; what it said is in the journal of the unit

func (e NamesError) Error() string {
	return fmt.Sprintf("aardvark-dns did not start, status %d", e.Status)
}

// Hint is where to look. A program that could not be executed has said nothing: its path is that of
// the time when the namespace was made.
func (e NamesError) Hint() string {
	if e.Status == 126 || e.Status == 127 {
		return "if it was installed or moved meanwhile: systemctl --user restart podunit-netns.service"
	}
	return "journalctl --user -u podunit-netns.service says why"
}

// ErrNoHolder says that there is no process that holds the namespace, or that it has ended meanwhile.
var ErrNoHolder = errors.New("nobody holds the network namespace")

// AskForNames returns once the name server of the Netns with the directory dir runs and knows the
// names that there are.
func AskForNames(ctx context.Context, dir string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	connect := func() error {
		return shortly(filepath.Join(dir, namesSocket), func(short string) error {
			return unix.Connect(fd, &unix.SockaddrUnix{Name: short})
		})
	}
	status := make([]byte, 1)
	asked := false
	for began := time.Now(); ; {
		if !asked {
			switch err := connect(); {
			case err == nil:
				asked = true
			case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED):
				return ErrNoHolder
			case !errors.Is(err, unix.EAGAIN): // too many wait already
				return fmt.Errorf("ask for the name server: %w", err)
			}
		}
		polls := []unix.PollFd{{Fd: -1, Events: unix.POLLIN}}
		if asked {
			polls[0].Fd = int32(fd)
		}
		const step = 100 * time.Millisecond
		switch n, err := unix.Poll(polls, int(step.Milliseconds())); {
		case err != nil && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("ask for the name server: %w", err)
		case n > 0:
			if n, err := unix.Read(fd, status); n != 1 || err != nil {
				return ErrNoHolder
			}
			if status[0] != 0 {
				return NamesError{int(status[0])}
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("ask for the name server: %w", context.Cause(ctx))
		case time.Since(began) > askLimit:
			return hint.With(fmt.Errorf("aardvark-dns has not started in %v", askLimit), "systemctl --user restart podunit-netns.service")
		}
	}
}
