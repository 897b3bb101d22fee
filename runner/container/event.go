// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/podunit/podunit/runner/journal"
	"github.com/podunit/podunit/runner/process"
)

// event is what has happened to the container.
func (r Record) event(status string) journal.Event {
	return journal.Event{
		Type: "container", Status: status, Time: time.Now(), ID: r.ID, Name: r.Name, Image: r.ImageName, PodID: r.PodID, Labels: r.Labels(),
	}
}

// Tell notes that something has happened to a container, in the words of podman-events(1).
func (e *Engine) Tell(r Record, status string) { e.tell(r.event(status)) }

// tellEnd notes that something in a container has ended, or the container itself, and how; nil if
// nobody knows.
func (e *Engine) tellEnd(r Record, status string, code *int) {
	event := r.event(status)
	event.ExitCode = code
	e.tell(event)
}

// tellExec notes that a command in a container has begun, or has ended and how. The label has the
// name that Podman's event has.
func (e *Engine) tellExec(r Record, status, session string, code *int) {
	event := r.event(status)
	event.ExitCode = code
	if session != "" {
		event.Labels["execID"] = session
	}
	e.tell(event)
}

// tellStart notes that a container has begun, and that it was created if this start has made it.
func (s *start) tellStart() {
	event := s.record.event("start")
	if s.ask.New {
		event.Made = s.record.Created
	}
	s.tell(event)
}

func (e *Engine) tell(event journal.Event) {
	if e.Event != nil {
		e.Event(event)
	}
}

// untold reports whether the end of a container's last run is still to be noted: that run has
// begun, and Ended has not been called for it.
func (e *Engine) untold(r Record, s Status) bool {
	if e.Event == nil || s.StartedAt.IsZero() {
		return false
	}
	x, err := e.Exit(r.ID)
	return err == nil && (x == nil || !x.StartedAt.Equal(s.StartedAt))
}

// toldPath is a file in the runtime directory of a container to which somebody is attached: the first
// who creates it in a run tells the end of that.
func (e *Engine) toldPath(id string) string { return filepath.Join(e.dir(id), "told") }

// mayTellEnd reports whether the caller is to tell the end of a run that nobody seems to have told.
// The podunit that is attached to a container sees its end at the same time as one that removes it.
func (e *Engine) mayTellEnd(id string, s Status) bool {
	if !s.Attached {
		return true
	}
	f, err := os.OpenFile(e.toldPath(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	// Where the directory is gone, so is the container, and who has removed it has told.
	return !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist)
}

// tellLateEnd notes that a container has ended which is about to be removed, unless Ended has. It
// finds out how while the container is removed, from the first process, if that ran until now, or
// from HowEnded; the function that it returns waits for the answer.
func (e *Engine) tellLateEnd(r Record, s Status, first *process.Process) (told func()) {
	// Where nobody is attached and the unit itself has stopped the process, nobody else has told. To
	// ask would make a directory.
	ours := e.Event != nil && !s.StartedAt.IsZero() && first != nil && !s.Attached && e.Unit != "" && s.Unit == e.Unit
	if !ours && (!e.untold(r, s) || !e.mayTellEnd(r.ID, s)) {
		return func() {}
	}
	event := r.event("died")
	answer := make(chan *int, 1)
	go func() {
		code, known := first.Code(cmp.Or(e.codeWait, codeWait))
		if !known && e.HowEnded != nil {
			code, known = e.HowEnded(s)
		}
		if !known {
			answer <- nil
			return
		}
		answer <- &code
	}()
	return func() {
		event.ExitCode = <-answer
		e.tell(event)
	}
}

// codeWait is how long the parent of a first process may take to see that it has ended.
const codeWait = time.Second
