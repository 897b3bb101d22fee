// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/podunit/podunit/runner/runc"
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

// output makes the streams of a container that runs on its own, and the process that
// copies them, if one is needed. closeEnds drops our copies once the container has its
// own; the copier ends when the last writer has. rootfs is what it must not hold.
func (e *Engine) output(r Record, rootfs, identifier string) (s runc.Streams, copier int, closeEnds func(), err error) {
	closeEnds = func() {}
	driver := r.Spec.Log.Driver
	if driver == "" {
		driver = logJournald
		if _, err := os.Stat(journalSocket); err != nil {
			driver = logPassthrough
		}
	}
	switch driver {
	case logNone:
		return s, 0, closeEnds, nil
	case logPassthrough:
		return runc.Streams{Stdout: os.Stdout, Stderr: os.Stderr}, 0, closeEnds, nil
	case logJournald:
	default:
		return s, 0, closeEnds, fmt.Errorf("log driver %q is not one of journald, passthrough, none", driver)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return s, 0, closeEnds, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return s, 0, closeEnds, errors.Join(err, outR.Close(), outW.Close())
	}
	copier, err = startCopier(rootfs, logFields(r, identifier), outR, errR)
	outR.Close()
	errR.Close()
	closeEnds = func() { outW.Close(); errW.Close() }
	if err != nil {
		closeEnds()
		return s, 0, func() {}, err
	}
	return runc.Streams{Stdout: outW, Stderr: errW}, copier, closeEnds, nil
}

// logFields are the journal fields of every line; those of containers are podman's, so
// that queries written for it go on working. Source: podman-logs(1), journald driver.
func logFields(r Record, identifier string) []string {
	if identifier == "" {
		identifier = r.Name
	}
	if r.Spec.Log.Tag != "" {
		identifier = r.Spec.Log.Tag
	}
	f := []string{
		"SYSLOG_IDENTIFIER=" + identifier,
		"CONTAINER_NAME=" + r.Name,
		"CONTAINER_ID=" + r.ID[:12],
		"CONTAINER_ID_FULL=" + r.ID,
		"IMAGE_NAME=" + r.ImageName,
	}
	if r.Spec.Log.Tag != "" {
		f = append(f, "CONTAINER_TAG="+r.Spec.Log.Tag)
	}
	var labels []string
	for name, value := range r.Spec.Log.Labels {
		labels = append(labels, name+"="+value)
	}
	slices.Sort(labels)
	return append(f, labels...)
}

// startCopier starts this binary as podunit-log (see runner/rootless/log.c).
func startCopier(rootfs string, fields []string, stdout, stderr *os.File) (int, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"podunit-log", rootfs}, fields...)
	cmd.Env = []string{}
	cmd.Dir = "/"
	// Lines that the journal does not take go where the unit's own do.
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{stdout, stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the log copier: %w", err)
	}
	pid := cmd.Process.Pid // Release forgets it
	return pid, cmd.Process.Release()
}

// isSocket reports whether a program that opens /dev/stdout again would fail (ENXIO).
func isSocket(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}
