// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// consoleName is the socket in the bundle over which the runtime hands us the terminal
// of a container that runs on its own.
const consoleName = "console.sock"

// consoleWait is how long the terminal may take once the runtime has ended: it was sent
// before.
const consoleWait = 5 * time.Second

// console is where the terminal will arrive.
type console struct {
	listener *net.UnixListener
	path     string
}

// listenConsole makes the socket in the container's runtime directory.
func (e *Engine) listenConsole(id string) (*console, error) {
	dir, err := os.Open(e.dir(id))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	// The whole path is too long for the name of a socket (unix(7): 108 bytes).
	short := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), consoleName)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // by then the short name is nobody's
	return &console{listener, filepath.Join(e.dir(id), consoleName)}, nil
}

func (c *console) close() error {
	return errors.Join(c.listener.Close(), removeFile(c.path))
}

// receive returns the near end of the container's terminal.
func (c *console) receive() (*os.File, error) {
	deadline := time.Now().Add(consoleWait)
	if err := c.listener.SetDeadline(deadline); err != nil {
		return nil, err
	}
	conn, err := c.listener.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("the runtime sent no terminal: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	name, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(name, control)
	if err != nil {
		return nil, fmt.Errorf("the runtime sent no terminal: %w", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("the runtime sent no terminal: %d messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("the runtime sent no terminal: %d files: %w", len(fds), err)
	}
	unix.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "terminal"), nil
}

// holdTerminal starts the helper on a terminal: it holds the near end as long as the
// container lives, and what is written to it goes to the journal.
func (s *start) holdTerminal() error {
	terminal, err := s.console.receive()
	if err != nil {
		return err
	}
	defer terminal.Close()
	return s.startHelper(terminal, nil)
}
