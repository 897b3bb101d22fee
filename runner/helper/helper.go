// SPDX-License-Identifier: Apache-2.0

// Package helper has the small programs beside a container: podunit-log copies its lines to
// the journal, passes on what it says to the service manager and notices that its network has
// ended (log.c, relay.c), podunit-infra holds the namespaces of a pod (infra.c), podunit-gate
// lets a container begin (gate.c), podunit-clock has its health checks run where no service
// manager does (clock.c), and podunit-netns holds the namespace of a user's named networks and
// runs their name server (netns.c). They are written in C and live in this binary:
// executed under their names, it never starts the Go runtime. What each holds is counted
// against the unit that it is in, and is no more than a program such as cat(1) holds.
// One more is inside a container, and so a file of its own, of two kilobytes:
// podunit-checker executes its checks (check.go, checker/checker.c).
package helper

/*
#cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter
#include "helper.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/podunit/podunit/runner/process"
	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// command is a small program, in a session of its own and with no environment but env. Its
// files begin at descriptor 3; nil is one that it does not get.
func command(name string, args, env []string, files ...*os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{name}, args...)
	cmd.Env = append([]string{}, env...) // nil would be our own
	cmd.Dir = "/"
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// Words for the latch of a gate, a byte each.
const (
	NeverOpen byte = iota
	OpenNow
)

// Gate is a process that lets a container begin and is nothing else. It waits for OpenNow or
// NeverOpen at the latch, and opens as well when the latch ends without. The container's first
// process waits at the FIFO; if that is empty, the command start lets it begin.
func Gate(fifo string, latch *os.File, env []string, start ...string) *exec.Cmd {
	return command("podunit-gate", append([]string{fifo}, start...), env, latch)
}

// Clock is a process that executes program healthcheck run --clock id, with the environment env
// and where it is itself, at first after a pause and then as often as that says, until the
// container's first process ends. Faults of the runs go to our standard error.
func Clock(pid int, first time.Duration, program, id string, env []string) *exec.Cmd {
	args := []string{strconv.Itoa(pid), strconv.FormatInt(first.Milliseconds(), 10), program, id}
	cmd := command("podunit-clock", args, env)
	cmd.Stderr = os.Stderr
	return cmd
}

// Log is what runs beside a container that runs on its own; its name is that of its first
// task. Each of its tasks may be left out.
type Log struct {
	// Stdout and Stderr are what it copies to the journal; Stdout may be the near end of a
	// terminal.
	Stdout, Stderr *os.File
	// ToStdout and ToStderr get what comes from Stdout and Stderr instead of the journal, as it is;
	// the journal gets what they do not take.
	ToStdout, ToStderr *os.File
	// Rootfs is where the container's root is mounted in our mount namespace; the copier
	// lets go of it.
	Rootfs string
	// Fields go with every line, each NAME=VALUE.
	Fields []string
	// FIFO and Latch make it the container's gate as well; see Gate. When the latch ends without a
	// word, the start was killed, and so is the container.
	FIFO  string
	Latch *os.File
	// Notify, from NotifySocket, is where the container says how it is; Manager is
	// $NOTIFY_SOCKET, where it is passed on. The container may ask for no more time at once
	// than StartLimit and StopLimit, as its unit has them; zero is no limit.
	Notify                *os.File
	Manager               string
	StartLimit, StopLimit time.Duration
	// PIDFile gets the PID of the process that goes on where one has died; see Successor.
	PIDFile string
	// File is a log file beside the journal.
	File LogFile
	// Cgroup is the directory of the cgroup that it is started in, open, by a process that is not
	// of the container's unit and whose standard error it does not get; nil is our own. Needs Linux
	// 5.7.
	Cgroup *os.File
}

// LogFile is a file that gets each line of a container, in the format of CRI logs.
type LogFile struct {
	Path string // absolute; empty for none
	// Size is the most bytes that the file may have, and Files how many of that size are kept; a
	// Size of zero is no limit.
	Size  int64
	Files int
}

// maxLogName is the longest name of a log file; one that is full gets up to five bytes more.
const maxLogName = unix.NAME_MAX - len(".1000")

// open opens the file and its directory. Somebody else may be able to write there: what is not a
// regular file is an error, also one that would have us wait, and so is a file of somebody else's,
// who could read all that we write. The copier looks no name up outside of the directory.
func (l LogFile) open() (file, dir *os.File, err error) {
	name := filepath.Base(l.Path)
	if len(name) > maxLogName {
		return nil, nil, fmt.Errorf("log file %s: its name has more than %d bytes", l.Path, maxLogName)
	}
	dir, err = os.OpenFile(filepath.Dir(l.Path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("log file: %w", err)
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o640)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("log file: %w", &fs.PathError{Op: "open", Path: l.Path, Err: err}), dir.Close())
	}
	file = os.NewFile(uintptr(fd), l.Path)
	if err := l.judge(file, dir); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("log file %s: %w", l.Path, err), file.Close(), dir.Close())
	}
	return file, dir, nil
}

// judge says what is wrong with a file that was there already.
func (l LogFile) judge(file, dir *os.File) error {
	var f, d unix.Stat_t
	if err := errors.Join(unix.Fstat(int(file.Fd()), &f), unix.Fstat(int(dir.Fd()), &d)); err != nil {
		return err
	}
	if f.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("it is not a regular file")
	}
	if int(f.Uid) != os.Geteuid() && f.Uid != d.Uid && d.Mode&0o022 != 0 {
		return fmt.Errorf("it belongs to user %d, and others can write in its directory", f.Uid)
	}
	return nil
}

// Running is a Log that was started.
type Running struct {
	PID      int
	mu       sync.Mutex
	control  *os.File // nil once there is nothing more to tell
	starting bool
}

// Network tells it of the process of the network before there is a container: if the start is
// given up, or killed, that process ends. After Close it does nothing.
func (r *Running) Network(pid int) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.control == nil {
		return nil
	}
	fd, err := networkDescriptor(pid)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return send(r.control, 'n', fd)
}

// NetworkEndedError says that the process of a network has ended before anybody watched it.
type NetworkEndedError struct{ PID int }

func (e NetworkEndedError) Error() string {
	return fmt.Sprintf("the network ended during the start: pasta, process %d, has ended", e.PID)
}

// Hint is the way out.
func (NetworkEndedError) Hint() string { return "start it again" }

// networkDescriptor is process.Descriptor for the process of a network.
func networkDescriptor(pid int) (int, error) {
	fd, err := process.Descriptor(pid)
	if errors.Is(err, unix.ESRCH) {
		return -1, NetworkEndedError{pid}
	}
	if err != nil {
		return -1, fmt.Errorf("watch: %w", err)
	}
	return fd, nil
}

// Start starts it. It ends when the last writer has and, once it is told of the container with
// Watch, when that has, too. Watch or Close must be called.
func (l Log) Start() (*Running, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer far.Close()
	files := []*os.File{l.Stdout, l.Stderr, nil, far, l.Notify}
	if l.FIFO != "" {
		files[2] = l.Latch
	}
	if l.PIDFile != "" {
		f, err := os.OpenFile(l.PIDFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, errors.Join(err, near.Close())
		}
		defer f.Close()
		files = append(files, f)
	} else {
		files = append(files, nil)
	}
	name := ""
	if l.File.Path != "" {
		f, dir, err := l.File.open()
		if err != nil {
			return nil, errors.Join(err, near.Close())
		}
		defer f.Close()
		defer dir.Close()
		files = append(files, f, dir)
		name = filepath.Base(l.File.Path)
	} else {
		files = append(files, nil, nil)
	}
	files = append(files, l.ToStdout, l.ToStderr)
	args := []string{l.Rootfs, l.FIFO, l.Manager, microseconds(l.StartLimit), microseconds(l.StopLimit),
		name, strconv.FormatInt(l.File.Size, 10), strconv.Itoa(l.File.Files)}
	cmd := command("podunit-log", append(args, l.Fields...), nil, files...)
	if l.Cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(l.Cgroup.Fd())
	} else {
		// Lines that the journal does not take go where the unit's own do.
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the log copier: %w", err), near.Close())
	}
	r := &Running{PID: cmd.Process.Pid, control: near} // Release forgets the PID
	return r, cmd.Process.Release()
}

func microseconds(d time.Duration) string { return strconv.FormatInt(d.Microseconds(), 10) }

// Starting tells it, before Watch, that the start goes on when the container has begun. If we end
// before Started, or close it, the container is killed: the manager would wait for a start that
// nobody goes on with until its time is over.
func (r *Running) Starting() error {
	if r == nil {
		return nil
	}
	r.starting = true
	if err := send(r.control, 's'); err != nil {
		return errors.Join(err, r.Close())
	}
	return nil
}

// Started tells it that the start is over, and closes it. Without Starting it does nothing. Who has
// nothing to do any more is not to stay; container and network run on without it.
func (r *Running) Started(stay bool) error {
	if r == nil || !r.starting {
		return nil
	}
	r.mu.Lock()
	control := r.control
	r.mu.Unlock()
	if control == nil { // the container ended before it was watched
		return nil
	}
	word := byte('r')
	if !stay {
		word = 'e'
	}
	return errors.Join(send(control, word), r.Close())
}

// Watch tells it of the container's first process, of the process of its network (0: none) and
// of the container's cgroup, a directory (empty: none). When the network ends before the
// container, all processes of the cgroup are killed, or the first one if there is none. When the
// first process ends, all others of the cgroup are killed.
func (r *Running) Watch(pid, network int, cgroup string) error {
	fds := []int{}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	fd, err := process.Descriptor(pid)
	if errors.Is(err, unix.ESRCH) {
		return r.Close() // it has ended, and is not missed
	}
	if err != nil {
		return errors.Join(fmt.Errorf("watch: %w", err), r.Close())
	}
	fds = append(fds, fd)
	if network != 0 {
		if fd, err = networkDescriptor(network); err != nil {
			return errors.Join(err, r.Close())
		}
		fds = append(fds, fd)
	}
	if cgroup != "" {
		// It needs no privilege, which the process that has it then has not any more. Linux 5.14.
		kill, err := os.OpenFile(filepath.Join(cgroup, "cgroup.kill"), os.O_WRONLY, 0)
		if err == nil {
			defer kill.Close()
			err = send(r.control, 'k', int(kill.Fd()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(err, r.Close())
		}
	}
	if err := send(r.control, 'w', fds...); err != nil || !r.starting {
		return errors.Join(err, r.Close())
	}
	return nil
}

// Close tells it that there is nothing to watch. After Watch it does nothing.
func (r *Running) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.control == nil {
		return nil
	}
	err := r.control.Close()
	r.control = nil
	return err
}

// Successor is the PID of the process that has gone on for one that has died, 0 if none has.
func Successor(pidFile string) int {
	b, err := safe.ReadSmall(pidFile)
	if err != nil {
		return 0
	}
	var pid int
	if _, err := fmt.Sscan(string(b), &pid); err != nil {
		return 0
	}
	return pid
}

// send sends descriptors; receive.c receives them.
func send(to *os.File, what byte, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	if err := unix.Sendmsg(int(to.Fd()), []byte{what}, rights, nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("tell a helper what to watch: %w", err)
	}
	return nil
}

// NotifySocket makes the socket at path where a container says how it is. Every process of the
// container may write to it; its directory must be closed to others.
func NotifySocket(path string) (*os.File, error) {
	f, err := boundSocket(path, unix.SOCK_DGRAM, 0o666)
	if err != nil {
		return nil, fmt.Errorf("notify socket: %w", err)
	}
	return f, nil
}

// listening makes a socket at path, of type SOCK_SEQPACKET, where up to backlog wait at once.
func listening(path string, backlog int) (*os.File, error) {
	f, err := boundSocket(path, unix.SOCK_SEQPACKET, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Listen(int(f.Fd()), backlog); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// boundSocket makes a socket of that type at path, in the place of one of an earlier process.
func boundSocket(path string, kind int, mode os.FileMode) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	if err = bind(fd, path); err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// Infra is the first process of a pod.
type Infra struct {
	// Hostname is set in its UTS namespace; empty leaves the name alone.
	Hostname string
	// Namespaces are flags of clone(2).
	Namespaces uintptr
	// UIDs and GIDs are the mappings of its user namespace, if it gets one.
	UIDs, GIDs []syscall.SysProcIDMap
	// Shm is a mount in our mount namespace that it holds in its own, at HeldShm; empty for none.
	Shm string
}

// HeldShm is where the infra process has what it holds, in its mount namespace. Its own root is an
// empty directory beside it.
const HeldShm = "/shm"

// exeDescriptor is where the program of an infra process is opened, beyond what os/exec moves.
const exeDescriptor = 56

// readOnlyProgram opens this program on a mount that cannot be written through. The program of
// an infra process is in reach of root's containers that may trace it, and once the process has
// ended they could write to the file (CVE-2019-5736). Needs Linux 5.12; before, and where a filter
// does not allow these calls, it is nil.
//
// It is looked up by its name: what /proc/self/exe leads to belongs to the mount namespace in which
// we were executed, and from another one the kernel copies no mount.
func readOnlyProgram() (*os.File, error) {
	name, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	const updated = "podunit was updated just now: start this again"
	if strings.HasSuffix(name, " (deleted)") {
		return nil, errors.New(updated)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open_tree", Path: name, Err: err}
	}
	defer unix.Close(tree)
	var named, ours unix.Stat_t
	if err := errors.Join(unix.Fstat(tree, &named), unix.Stat("/proc/self/exe", &ours)); err != nil {
		return nil, err
	}
	if named.Dev != ours.Dev || named.Ino != ours.Ino {
		return nil, errors.New(updated)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "mount_setattr", Path: name, Err: err}
	}
	fd, err := unix.FcntlInt(uintptr(tree), unix.F_DUPFD_CLOEXEC, exeDescriptor)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "program"), nil
}

// Start starts the process through start, which calls its argument's Start where the process
// is to be, and returns once the process is all that it is to be.
func (i Infra) Start(start func(*exec.Cmd) error) (*Running, error) {
	cmd := command("podunit-infra", []string{i.Hostname, i.Shm}, nil)
	program, err := readOnlyProgram()
	if err != nil {
		return nil, fmt.Errorf("its program: %w", err)
	}
	if program != nil {
		defer program.Close()
		cmd.Path = fmt.Sprintf("/proc/self/fd/%d", program.Fd())
	}
	cmd.SysProcAttr.Cloneflags = i.Namespaces
	if len(i.UIDs) > 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = i.UIDs
		cmd.SysProcAttr.GidMappings = i.GIDs
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
		// Another user than root, who we may be inside, loses its capabilities when it executes
		// something. They are for what it does before it gives them up.
		if maps(i.UIDs, 0) && maps(i.GIDs, 0) {
			cmd.SysProcAttr.Credential = &syscall.Credential{}
		} else {
			cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_CHROOT, unix.CAP_SETPCAP}
		}
	}
	return startHolder(cmd, start)
}

// startHolder starts a process that closes descriptor 3 once it is all that it is to be, and is then
// told at 4 of the network whose end it ends with. It returns once that is so.
func startHolder(cmd *exec.Cmd, start func(*exec.Cmd) error) (*Running, error) {
	ready, done, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	defer done.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer far.Close()
	cmd.ExtraFiles = append([]*os.File{done, far}, cmd.ExtraFiles...)
	cmd.Stderr = os.Stderr
	if err := start(cmd); err != nil {
		return nil, errors.Join(err, near.Close())
	}
	_ = done.Close() // the second time it is closed already
	if _, err := ready.Read(make([]byte, 1)); err == nil {
		return nil, errors.Join(errors.New("it wrote where it should only close"), near.Close())
	}
	r := &Running{PID: cmd.Process.Pid, control: near} // Release forgets the PID
	return r, cmd.Process.Release()
}

// maps tells whether an ID inside has a mapping.
func maps(ranges []syscall.SysProcIDMap, id int) bool {
	return slices.ContainsFunc(ranges, func(r syscall.SysProcIDMap) bool { return id >= r.ContainerID && id-r.ContainerID < r.Size })
}

// WatchNetwork tells an infra process or a Netns of the process of its network (0: none), with whose
// end it ends as well, and fails.
func (r *Running) WatchNetwork(pid int) error {
	if pid == 0 {
		return r.Close()
	}
	fd, err := networkDescriptor(pid)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	defer unix.Close(fd)
	return errors.Join(send(r.control, 'w', fd), r.Close())
}
