// SPDX-License-Identifier: Apache-2.0

package container

import (
	"os"
	"path/filepath"

	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/process"
)

// Files in the runtime directory that belong to the helper.
const (
	successorName = "helper.pid" // who goes on for a helper that has died
	notifyName    = "notify"     // the container's notify socket
)

// startHelper starts what runs beside the container: it copies what is written to stdout and
// stderr, which may be nil, to where the unit has it and ends when the last writer has; it passes
// on what the container says to the service manager, and keeps the container's gate, if it can.
func (s *start) startHelper(stdout, stderr *os.File) error {
	h := helper.Log{
		Stdout: stdout, Stderr: stderr, Rootfs: s.rootfs, Fields: s.ask.logFields(),
		Notify: s.notify, Manager: s.ask.NotifySocket, StartLimit: s.ask.StartLimit, StopLimit: s.ask.StopLimit,
		File:    s.logFile,
		PIDFile: filepath.Join(s.dir(s.ask.Record.ID), successorName),
	}
	h.ToStdout, h.ToStderr = s.ask.elsewhere()
	if h.ToStdout != nil {
		s.status.Elsewhere = append(s.status.Elsewhere, "stdout")
	}
	if h.ToStderr != nil {
		s.status.Elsewhere = append(s.status.Elsewhere, "stderr")
	}
	if s.creation != nil {
		h.FIFO, h.Latch = s.creation.Gate()
	}
	var err error
	if s.helper, err = h.Start(); err != nil {
		return err
	}
	s.status.LogPID, s.status.LogTicks = s.helper.PID, process.StartTicks(s.helper.PID)
	s.status.LogPipes = [2]uint64{pipeNumber(stdout), pipeNumber(stderr)}
	return nil
}

// watch has the helper, if there is one that is to, stay beside the container until that ends,
// and end it if its network does, or if a slow start is killed.
func (s *start) watch() error {
	if s.helper == nil {
		return nil
	}
	dir := ""
	if s.status.Cgroup != "" {
		dir = cgroup.Path(s.status.Cgroup)
	}
	if s.ask.Slow {
		if err := s.helper.Starting(); err != nil {
			return err
		}
	}
	return s.helper.Watch(s.status.PID, s.status.PastaPID, dir)
}

// openNotify makes the socket over which the container speaks to the service manager, in place
// of the manager's own.
func (s *start) openNotify() (path string, err error) {
	if s.ask.NotifySocket == "" {
		return "", nil
	}
	path = filepath.Join(s.dir(s.ask.Record.ID), notifyName)
	s.notify, err = helper.NotifySocket(path)
	return path, err
}

// succeed names the process that has gone on for a helper that has died, if one has.
func (e *Engine) succeed(id string, s *Status) {
	if s.LogPID == 0 {
		return
	}
	if pid := helper.Successor(filepath.Join(e.dir(id), successorName)); pid != 0 {
		s.LogPID, s.LogTicks = pid, process.StartTicks(pid)
	}
}
