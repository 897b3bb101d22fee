// SPDX-License-Identifier: Apache-2.0

package helper

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// podunit-checker executes the checks of a container in the container: see checker/checker.c. Each
// question is a packet of checkVersion and the words of the command, each with a NUL behind it,
// and brings the file that gets the output. The answer is a packet of two numbers.
const (
	checkVersion  = 1
	maxCheckBytes = 32 << 10
	maxCheckWords = 1024
)

// What an answer is about.
const (
	checkEnded       = iota // the second number is a status as of wait(2); below, an error number
	checkNoProgram          // it could not be executed
	checkNoDirectory        // its working directory could not be entered
	checkNoProcess          // no process could be made
	checkNoStatus           // it was executed, and how it ended is not known
)

// CheckerCommand is what a runtime executes, with two files: the program, and its socket.
func CheckerCommand() []string { return []string{"/proc/self/fd/3"} }

// CheckSocketName is the name of a socket where a program of this version is asked. name tells apart
// the checks of a container.
func CheckSocketName(name string) string { return fmt.Sprintf("checker%d%s", checkVersion, name) }

// Errors of a question.
var (
	// ErrNotAsked says that no program has taken the question: nothing was executed.
	ErrNotAsked = errors.New("nobody there to run the check")
	// ErrNoAnswer says that the program took the question and ended, or was killed.
	ErrNoAnswer = errors.New("what ran the check has ended under it")
)

// A CheckError says why a check was not executed.
type CheckError struct {
	Directory bool // it is about the working directory, not about the command
	Process   bool // there was no process to do it
	Err       unix.Errno
}

func (e *CheckError) Error() string {
	switch {
	case e.Directory:
		return "chdir: " + e.Err.Error()
	case e.Process:
		return "fork: " + e.Err.Error()
	}
	return "exec: " + e.Err.Error()
}

// Unwrap is the number of the error.
func (e *CheckError) Unwrap() error { return e.Err }

// CanAsk reports whether a command fits into a question.
func CanAsk(command []string) bool {
	n := 1
	for _, word := range command {
		n += len(word) + 1
		if strings.IndexByte(word, 0) >= 0 {
			return false
		}
	}
	return len(command) > 0 && command[0] != "" && len(command) <= maxCheckWords && n <= maxCheckBytes
}

// CheckSocket makes the socket at path where a program is asked. Its directory must be closed to
// others. Questions wait in it until the program takes them; when the last who has it open ends,
// they come back.
func CheckSocket(path string) (*os.File, error) {
	f, err := listening(path, 8)
	if err != nil {
		return nil, fmt.Errorf("socket of the checks: %w", err)
	}
	return f, nil
}

// bind gives a socket the name path, also if something has it.
func bind(fd int, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return shortly(path, func(short string) error { return unix.Bind(fd, &unix.SockaddrUnix{Name: short}) })
}

// shortly calls do with a path that is short enough for a socket: a whole one may be too long
// (unix(7): 108 bytes).
func shortly(path string, do func(short string) error) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path)))
}

// A Question is a check that was asked for.
type Question struct{ conn *os.File }

// AskCheck asks the program at path to execute a command that CanAsk. out gets what that writes.
func AskCheck(path string, command []string, out *os.File) (*Question, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	err = shortly(path, func(short string) error { return unix.Connect(fd, &unix.SockaddrUnix{Name: short}) })
	if err == nil {
		question := append([]byte{checkVersion}, strings.Join(command, "\x00")+"\x00"...)
		err = unix.Sendmsg(fd, question, unix.UnixRights(int(out.Fd())), nil, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%w: %w", ErrNotAsked, err)
	}
	return &Question{os.NewFile(uintptr(fd), path)}, nil
}

// endWait is how long a program that is being killed may take to end.
const endWait = 2 * time.Second

// Answer waits for the end of the check and returns its status, 128+N for a death by signal N. When
// ctx ends, it calls kill, which ends the check and the program, again and again until that has.
// Only the end of ctx limits the wait: who answers may be anybody in the container. The error is a
// *CheckError, ErrNotAsked or ErrNoAnswer, or says that there was no sense in the answer.
func (q *Question) Answer(ctx context.Context, kill func()) (int, error) {
	defer q.conn.Close()
	answered := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		select {
		case <-answered:
			return
		case <-ctx.Done():
		}
		_ = q.conn.SetReadDeadline(time.Now().Add(endWait))
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			kill()
			select {
			case <-answered:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	answer := make([]byte, 9) // one more than there is
	n, err := q.conn.Read(answer)
	close(answered)
	<-killed
	switch {
	case errors.Is(err, unix.ECONNRESET):
		return 0, ErrNotAsked // it has ended with the question unread. Source: Linux, unix_release_sock
	case err != nil || n == 0:
		return 0, ErrNoAnswer
	case n != 8:
		return 0, fmt.Errorf("an answer of %d bytes to a check", n)
	}
	return read(binary.NativeEndian.Uint32(answer), binary.NativeEndian.Uint32(answer[4:]))
}

// read judges the two numbers of an answer.
func read(about, value uint32) (int, error) {
	status := unix.WaitStatus(value)
	switch {
	case about == checkEnded && value <= 0xffff && status.Exited():
		return status.ExitStatus(), nil
	case about == checkEnded && value <= 0xffff && status.Signaled():
		return 128 + int(status.Signal()), nil
	case about > checkEnded && about <= checkNoProcess && value > 0 && value < 4096:
		return 0, &CheckError{Directory: about == checkNoDirectory, Process: about == checkNoProcess, Err: unix.Errno(value)}
	case about == checkNoStatus && value > 0 && value < 4096:
		return 0, fmt.Errorf("how the check ended is not known: %w", unix.Errno(value))
	}
	return 0, fmt.Errorf("an answer without sense to a check: %d, %d", about, value)
}
