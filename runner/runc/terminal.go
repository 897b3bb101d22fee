// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// needsTerminal reports whether none of the streams is a terminal. An attached runtime that gives
// the container one takes its size from one of ours, and gives up if there is none.
// Source: runc's tty.go, initHostConsole.
func (s Streams) needsTerminal() bool {
	for _, f := range []*os.File{s.Stdin, s.Stdout, s.Stderr} {
		if f != nil && term.IsTerminal(int(f.Fd())) {
			return false
		}
	}
	return true
}

// lendTerminal makes a new terminal the standard error of a command. What the command says there
// goes to said until release is called, after the command's end.
func lendTerminal(cmd *exec.Cmd, said io.Writer) (release func(), err error) {
	near, far, err := OpenTerminal()
	if err != nil {
		return nil, fmt.Errorf("make a terminal: %w", err)
	}
	cmd.Stderr = far
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(said, near) // ends with EIO when nobody has the far end any more
	}()
	return func() {
		far.Close()
		<-done
		near.Close()
	}, nil
}

// OpenTerminal opens a pseudoterminal of the usual size: near is our end, far a program's. Source:
// pty(7), ioctl_tty(2).
func OpenTerminal() (near, far *os.File, err error) {
	near, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(near.Fd())
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err == nil {
		far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}
