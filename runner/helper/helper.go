// SPDX-License-Identifier: Apache-2.0

// Package helper has the small programs beside a container: podunit-log copies its lines to
// the journal (log.c), podunit-infra holds the namespaces of a pod (infra.c), and podunit-gate
// lets a container begin (gate.c). They are written in C and live in this binary: executed
// under their names, it never starts the Go runtime. What each holds is counted against the
// unit that it is in, and is no more than a program such as cat(1) holds.
package helper

/*
#cgo CFLAGS: -O2 -Wall -Wextra -Wno-unused-parameter
#include "helper.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// command is a small program, in a session of its own and with no environment but env. Its
// files begin at descriptor 3.
func command(name string, args, env []string, files ...*os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{name}, args...)
	cmd.Env = append([]string{}, env...) // nil would be our own
	cmd.Dir = "/"
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// Log is the copier of what a container writes.
type Log struct {
	// Stdout and Stderr are what it reads; Stdout may be the near end of a terminal.
	Stdout, Stderr *os.File
	// Rootfs is where the container's root is mounted in our mount namespace; the copier
	// lets go of it.
	Rootfs string
	// Fields go with every line, each NAME=VALUE.
	Fields []string
	// FIFO and Latch, if set, make it the container's gate as well; see Gate.
	FIFO  string
	Latch *os.File
}

// Start starts the copier, which ends when the last writer has.
func (l Log) Start() (pid int, err error) {
	files := []*os.File{l.Stdout, l.Stderr}
	if l.FIFO != "" {
		files = append(files, l.Latch)
	}
	cmd := command("podunit-log", append([]string{l.Rootfs, l.FIFO}, l.Fields...), nil, files...)
	// Lines that the journal does not take go where the unit's own do.
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the log copier: %w", err)
	}
	pid = cmd.Process.Pid // Release forgets it
	return pid, cmd.Process.Release()
}

// Gate is a process that lets a container begin and is nothing else. The end of the latch
// opens it, a byte tells that it is never to be opened. The container's first process waits
// at the FIFO; if that is empty, the command start lets it begin.
func Gate(fifo string, latch *os.File, env []string, start ...string) *exec.Cmd {
	return command("podunit-gate", append([]string{fifo}, start...), env, latch)
}

// Infra is the first process of a pod.
type Infra struct {
	// Hostname is set in its UTS namespace; empty leaves the name alone.
	Hostname string
	// Namespaces are flags of clone(2).
	Namespaces uintptr
	// UIDs and GIDs are the mappings of its user namespace, if it gets one.
	UIDs, GIDs []syscall.SysProcIDMap
}

// Start starts the process through start, which calls its argument's Start where the process
// is to be, and returns once the process is all that it is to be.
func (i Infra) Start(start func(*exec.Cmd) error) (pid int, err error) {
	ready, done, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	cmd := command("podunit-infra", []string{i.Hostname}, nil, done)
	cmd.SysProcAttr.Cloneflags = i.Namespaces
	if len(i.UIDs) > 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = i.UIDs
		cmd.SysProcAttr.GidMappings = i.GIDs
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
	}
	err = start(cmd)
	done.Close()
	if err != nil {
		return 0, err
	}
	if _, err := ready.Read(make([]byte, 1)); err == nil {
		return 0, errors.New("it wrote where it should only close")
	}
	pid = cmd.Process.Pid
	return pid, cmd.Process.Release()
}
