// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/podunit/podunit/runner/helper"
	"github.com/podunit/podunit/runner/runc"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// Log drivers. Source: podman-run(1), --log-driver.
const (
	logJournald    = "journald"
	logPassthrough = "passthrough"
	logNone        = "none"
)

// journalSocket is where journald takes entries.
const journalSocket = "/run/systemd/journal/socket"

// output is where a container writes that runs on its own.
type output struct {
	runc.Streams
	// stdout and stderr are the ends that a process of ours reads; nil if none is needed.
	stdout, stderr *os.File
}

// openOutput makes the streams of a container.
func openOutput(r Record) (*output, error) {
	driver := r.Spec.Log.Driver
	if driver == "" {
		driver = logJournald
		if _, err := os.Stat(journalSocket); err != nil {
			driver = logPassthrough
		}
	}
	switch driver {
	case logNone:
		return &output{}, nil
	case logPassthrough:
		return &output{Streams: runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr}}, nil
	case logJournald:
	default:
		return nil, fmt.Errorf("log driver %q is not one of journald, passthrough, none", driver)
	}
	var o output
	var err error
	if o.stdout, o.Stdout, err = os.Pipe(); err != nil {
		return nil, err
	}
	if o.stderr, o.Stderr, err = os.Pipe(); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return &o, nil
}

// close drops our copies, once the container and the copier have theirs. It may be called
// again.
func (o *output) close() error {
	if o.stdout == nil {
		return nil // nothing of our own
	}
	var errs []error
	for _, f := range []**os.File{&o.stdout, &o.stderr, &o.Stdout, &o.Stderr} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}

// logFields are the journal fields of every line; those of containers are podman's, so
// that queries written for it go on working. Source: podman-logs(1), journald driver.
func (l *Launch) logFields() []string {
	r := l.Record
	fields := map[string]string{
		"SYSLOG_IDENTIFIER": r.Name,
		"CONTAINER_NAME":    r.Name,
		"CONTAINER_ID":      r.ID[:12],
		"CONTAINER_ID_FULL": r.ID,
		"IMAGE_NAME":        r.ImageName,
	}
	maps.Copy(fields, l.JournalFields)
	if tag := r.Spec.Log.Tag; tag != "" {
		fields["SYSLOG_IDENTIFIER"], fields["CONTAINER_TAG"] = tag, tag
	}
	maps.Copy(fields, r.Spec.Log.Labels)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, name+"="+fields[name])
	}
	return all
}

// pidName is the file in the runtime directory that says who goes on for a helper that died.
const pidName = "helper.pid"

// notifyName is the container's notify socket in its runtime directory.
const notifyName = "notify"

// wantsHelper tells whether something is to run beside a container of its own.
func (l *Launch) wantsHelper() bool {
	return l.console != nil || l.copied() || l.NotifySocket != "" || l.network != nil && l.network.Mode() == spec.NetPasta
}

// startHelper starts what runs beside the container: it copies stdout and stderr, which may be
// nil, and is the container's gate if it can be. Its PID is noted.
func (e *Engine) startHelper(l *Launch, s *Status, stdout, stderr *os.File) error {
	h := helper.Log{
		Stdout: stdout, Stderr: stderr, Rootfs: l.rootfs, Fields: l.logFields(),
		Notify: l.notify, Manager: l.NotifySocket, StartLimit: l.StartLimit, StopLimit: l.StopLimit,
		PIDFile: filepath.Join(e.dir(l.Record.ID), pidName),
	}
	if l.gate != nil {
		h.FIFO, h.Latch = l.gate.FIFO, l.gate.Far
	}
	var err error
	if l.helper, err = h.Start(); err != nil {
		return err
	}
	s.LogPID = l.helper.PID
	return nil
}

// watch has the helper, if there is one, look after the container until that has ended.
func (l *Launch) watch(s Status) error {
	if l.helper == nil || l.NotifySocket == "" && s.PastaPID == 0 {
		return l.helper.Close()
	}
	cgroup := ""
	if s.Cgroup != "" {
		cgroup = filepath.Join(cgroupMount, s.Cgroup)
	}
	return l.helper.Watch(s.PID, s.PastaPID, cgroup)
}

// openNotify makes the socket over which the container speaks to the service manager, in place
// of the manager's own.
func (e *Engine) openNotify(l *Launch) (path string, err error) {
	if l.NotifySocket == "" {
		return "", nil
	}
	path = filepath.Join(e.dir(l.Record.ID), notifyName)
	l.notify, err = helper.NotifySocket(path)
	return path, err
}

// isSocket reports whether a program that opens /dev/stdout again would fail (ENXIO).
func isSocket(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}
