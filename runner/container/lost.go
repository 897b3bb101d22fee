// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
)

// guardWait is how long the guard of a helper that was killed has to go on for it: it takes a
// moment, where the machine has one.
const guardWait = 5 * time.Second

// AllUnwatched are the containers that Unwatched is true of, in this runtime directory. To decode
// records takes more than all else, and there is hardly ever such a container.
func (e *Engine) AllUnwatched() ([]Record, error) {
	all, err := e.Store.Containers()
	if err != nil {
		return nil, err
	}
	var out []Record
	for i := range all {
		if !e.Unwatched(all[i].ID) {
			continue
		}
		if r, ok := decode(&all[i]); ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// Unwatched tells whether a container runs without the process that was started beside it: it was
// killed together with its guard, so that none of the two could go on for the other.
func (e *Engine) Unwatched(id string) bool {
	if _, err := os.Lstat(e.dir(id)); err != nil {
		return false // it has not been started here, or is another tool's
	}
	s, err := e.Status(id)
	return err == nil && s.unwatched()
}

// unwatched tells whether a container runs, and nothing beside it that did.
func (s Status) unwatched() bool {
	return s.PID != 0 && !s.Attached && s.Cgroup != "" && s.LogPID != 0 && !process.Alive(s.LogPID, s.LogTicks)
}

// Watch starts another process beside a container that runs without one, in the container's unit,
// and says what has come of it; empty if the container is watched after all. Its pipes are found by
// the processes that write to them. The fields are those of the unit's lines. Who calls it has the
// container's lock, and is in a cgroup from which a process may be started in the unit.
//
// A container whose network has ended meanwhile is killed, as that process would have done.
func (e *Engine) Watch(r Record, journal map[string]string) (said string, err error) {
	s, err := e.Status(r.ID)
	if err != nil || !s.unwatched() {
		return "", err
	}
	if s.PastaPID != 0 && !network.Runs(s.PastaPID, e.dir(r.ID)) {
		if err := errors.Join(cgroup.Kill(s.Cgroup), process.End(s.PID, s.StartTicks, unix.SIGKILL, process.KillWait)); err != nil {
			return "", err
		}
		return "podunit-log and the network of the container were killed, and so the container is killed", nil
	}
	pids, err := cgroup.Processes(s.Cgroup)
	if err != nil {
		return "", err
	}
	pipes, err := findPipes(pids, s.LogPipes)
	defer func() { pipes.close() }()
	if err != nil {
		return "", err
	}
	for end := time.Now().Add(guardWait); pipes.read; time.Sleep(10 * time.Millisecond) {
		if s, err = e.Status(r.ID); err != nil || !s.unwatched() {
			return "", err // its guard has gone on
		}
		if time.Now().After(end) {
			return "", errors.New("one of its own processes reads what it writes")
		}
		pipes.close()
		if pipes, err = findPipes(pids, s.LogPipes); err != nil {
			return "", err
		}
	}
	dir, err := os.Open(cgroup.Beside(s.Cgroup))
	if err != nil {
		return "", err
	}
	defer dir.Close()
	h := helper.Log{
		Stdout: pipes.files[0], Stderr: pipes.files[1], Fields: Launch{Record: &r, JournalFields: journal}.logFields(),
		PIDFile: filepath.Join(e.dir(r.ID), successorName), Cgroup: dir,
	}
	if h.File, err = e.LogFile(r); err != nil {
		return "", err
	}
	running, err := h.Start()
	if err != nil {
		return "", err
	}
	s.LogPID, s.LogTicks = running.PID, process.StartTicks(running.PID)
	said = lost(r.Spec.Log.Driver, pipes.files != [2]*os.File{}, s.Elsewhere)
	s.Elsewhere = nil
	err = running.Watch(s.PID, s.PastaPID, cgroup.Path(s.Cgroup))
	return said, errors.Join(err, e.saveStatus(r.ID, s))
}

// lost says what is lost of a container's lines, by its log driver, whether any of its pipes has
// been found, and the streams that its unit leads elsewhere. There is no pipe on a terminal, and
// one whose number an older podunit has not noted is not found.
func lost(driver string, found bool, elsewhere []string) string {
	said := "podunit-log was killed, and is started again"
	switch {
	case driver == logNone || driver == logPassthrough:
		return said
	case !found:
		return said + " without the pipes of the container: it has no log until its unit is restarted"
	}
	said += ": lines of the container in between are lost"
	if len(elsewhere) > 0 {
		said += ", and what the unit leads elsewhere (" + strings.Join(elsewhere, ", ") + ") goes to the journal until its next start"
	}
	return said
}

// logPipes are the ends to read of what a container writes to, nil where nothing does.
type logPipes struct {
	files [2]*os.File
	read  bool // somebody else has such an end
}

// findPipes finds the pipes of these numbers, 0 for none, which a container got as its stdout and
// stderr, at its processes. Any of them may have put something else in their place, which is
// nobody's business here: it is what the numbers are for.
func findPipes(pids []int, numbers [2]uint64) (p logPipes, err error) {
	for _, pid := range pids {
		for name := 1; name <= 2; name++ {
			path := fmt.Sprintf("/proc/%d/fd/%d", pid, name)
			for i, number := range numbers { // both may be of one kind, as after 2>&1
				if number == 0 || p.files[i] != nil {
					continue
				}
				read, f, err := openPipe(path, number)
				if err != nil {
					return p, err
				}
				if f != nil {
					p.files[i], p.read = f, p.read || read
				}
			}
		}
	}
	return p, nil
}

func (p logPipes) close() {
	for _, f := range p.files {
		_ = f.Close() // nil is no harm
	}
}

// openPipe opens the end to read of the pipe of that number, and tells whether somebody has opened
// that already; nil if path, which somebody else may have made, leads to something else, or to
// nothing.
func openPipe(path string, number uint64) (read bool, end *os.File, err error) {
	// It is not opened before it is known what it is: to open a device may do something.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil, gone(path, err)
	}
	defer unix.Close(fd)
	if pipeOf(fd) != number {
		return false, nil, nil
	}
	own := fmt.Sprintf("/proc/self/fd/%d", fd)
	// A pipe that nobody reads tells its writers so.
	w, err := unix.Open(own, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil, gone(path, err)
	}
	defer unix.Close(w)
	polls := []unix.PollFd{{Fd: int32(w)}}
	if _, err := unix.Poll(polls, 0); err != nil {
		return false, nil, fmt.Errorf("%s: %w", path, err)
	}
	r, err := unix.Open(own, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, nil, gone(path, err)
	}
	return polls[0].Revents&unix.POLLERR == 0, os.NewFile(uintptr(r), path), nil
}

// gone is nil for what has ended or was closed while we looked.
func gone(path string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return &fs.PathError{Op: "open", Path: path, Err: err}
}

// pipeOf is the number of the pipe that a descriptor leads to, 0 for something else.
func pipeOf(fd int) uint64 {
	var st unix.Stat_t
	var on unix.Statfs_t
	if unix.Fstat(fd, &st) != nil || unix.Fstatfs(fd, &on) != nil || on.Type != unix.PIPEFS_MAGIC {
		return 0
	}
	return st.Ino
}

// pipeNumber is pipeOf for a file of ours; 0 for nil.
func pipeNumber(f *os.File) (number uint64) {
	if f == nil {
		return 0
	}
	c, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = c.Control(func(fd uintptr) { number = pipeOf(int(fd)) }) // fails for a closed one only
	return number
}
