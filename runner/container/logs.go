// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/coreos/go-systemd/v22/journal"
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

// output is where a container that runs on its own writes to.
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
	case logJournald, spec.LogFile:
	default:
		return nil, fmt.Errorf("log driver %q is not one of journald, passthrough, none, %s", driver, spec.LogFile)
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

// elsewhere are our streams that podunit-log writes to instead of the journal: those that
// StandardOutput= or StandardError= of the unit leads elsewhere, unless a log driver is asked for.
// Source: systemd.exec(5), $JOURNAL_STREAM.
func (l Launch) elsewhere() (stdout, stderr *os.File) {
	if l.Unit == "" || l.Record.Spec.Log.Driver != "" {
		return nil, nil
	}
	if is, err := journal.StdoutIsJournalStream(); err == nil && !is {
		stdout = os.Stdout
	}
	if is, err := journal.StderrIsJournalStream(); err == nil && !is {
		stderr = os.Stderr
	}
	return stdout, stderr
}

// LogFile is the file that a container's lines go to besides the journal; the zero value for none.
func (e *Engine) LogFile(r Record) (helper.LogFile, error) {
	l := r.Spec.Log
	if l.Driver != spec.LogFile {
		return helper.LogFile{}, nil
	}
	f := helper.LogFile{Path: l.Path, Size: l.MaxSize, Files: max(l.MaxFiles, 1)}
	if f.Path == "" {
		// Where podman has it. The storage makes the directory when it is first asked for one, and a
		// new container, which it does not know yet, must have it before.
		f.Path = filepath.Join(e.kept(r.ID), "userdata", "ctr.log")
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o700); err != nil {
			return helper.LogFile{}, fmt.Errorf("log file: %w", err)
		}
	}
	return f, nil
}

// kept is what the storage keeps of a container beside its layer, and removes with it.
func (e *Engine) kept(id string) string {
	return filepath.Join(e.Store.GraphRoot(), e.Store.GraphDriverName()+"-containers", id)
}

// give makes the container's user the owner of the pipes, so that it can open /dev/stdout. The
// runtime does so, too, except where our own ID is not mapped in the container.
func (o *output) give(who *owner) error {
	if o.stdout == nil || who == nil {
		return nil
	}
	return errors.Join(o.Stdout.Chown(who.uid, who.gid), o.Stderr.Chown(who.uid, who.gid))
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
func (l Launch) logFields() []string {
	r := l.Record
	fields := map[string]string{
		"SYSLOG_IDENTIFIER": r.Name,
		"CONTAINER_NAME":    r.Name,
		"CONTAINER_ID":      r.ID[:12],
		"CONTAINER_ID_FULL": r.ID,
		"IMAGE_NAME":        r.ImageName,
	}
	maps.Copy(fields, l.JournalFields)
	if tag := tagOf(*r); tag != "" {
		fields["SYSLOG_IDENTIFIER"], fields["CONTAINER_TAG"] = tag, tag
	}
	maps.Copy(fields, r.Spec.Log.Labels)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, name+"="+fields[name])
	}
	return all
}

// tagOf is the tag of a container's lines, empty if there is none. What is wrong with a template
// was said when the container was made.
func tagOf(r Record) string {
	c := spec.Tagged{ID: r.ID, Name: r.Name, Image: r.ImageID, ImageName: r.ImageName, Pod: r.PodID, Created: r.Created}
	c.Config.Hostname, c.Config.User, c.Config.Image = r.Hostname(), cmp.Or(r.Spec.User, r.Config.User), r.ImageName
	c.Config.Labels = r.Labels()
	tag, err := r.Spec.Log.TagOf(c)
	if err != nil {
		return r.Spec.Log.Tag
	}
	return tag
}

// isSocket reports whether a program that opens /dev/stdout again would fail (ENXIO).
func isSocket(f *os.File) bool {
	var st unix.Stat_t
	return f != nil && unix.Fstat(int(f.Fd()), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}
