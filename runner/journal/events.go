// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// EventQuery says which events are wanted.
type EventQuery struct {
	// UID is the host's user whose podunit noted them.
	UID int
	// Since and Until bound the time, where not zero.
	Since, Until time.Time
	// Follow goes on with what happens from then on, until ctx ends or Until has passed.
	Follow bool
}

// Events gives events to each, oldest first. It returns nil at the end, and when ctx ends while
// following; otherwise the error of ctx, of each, or of the journal.
func (r Reader) Events(ctx context.Context, q EventQuery, each func(Event) error) error {
	if q.Follow && !q.Until.IsZero() { // journalctl has no --until with --follow
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, q.Until)
		defer cancel()
	}
	err := r.execute(ctx, q.args(), func(out io.Reader) error { return parseEvents(out, q, each) })
	if q.Follow && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return nil
	}
	return err
}

// args are journalctl's.
func (q EventQuery) args() []string {
	out := []string{
		"--quiet", "--no-pager", "--all", "--output=export",
		"--output-fields=" + strings.Join([]string{
			fieldEvent, fieldType, fieldTime, fieldName, fieldID, fieldImage, fieldPod, fieldNetwork, fieldExit, fieldLabels,
			fieldHealth, fieldStreak, fieldLog, fieldMade,
		}, ","),
	}
	if !q.Since.IsZero() {
		out = append(out, "--since="+stamp(q.Since))
	}
	switch {
	case q.Follow:
		out = append(out, "--follow", "--no-tail")
	case !q.Until.IsZero():
		out = append(out, "--until="+stamp(q.Until))
	}
	return append(out, "_UID="+strconv.Itoa(q.UID), "MESSAGE_ID="+EventID)
}

// parseEvents reads the journal export format; see parse. An entry that is no event, because
// somebody else wrote it in our name, is left out.
func parseEvents(r io.Reader, q EventQuery, each func(Event) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	fields := map[string]string{}
	give := func() error {
		defer clear(fields)
		e, err := eventOf(fields)
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		for _, one := range e.all() {
			if !q.Until.IsZero() && one.Time.After(q.Until) {
				continue
			}
			if err := each(one); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		name, value, err := readField(in)
		switch {
		case errors.Is(err, io.EOF):
			return give()
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil // journalctl was stopped in the middle of an entry
		case err != nil:
			return err
		case name == "":
			err = give()
		default:
			fields[name] = string(value)
		}
		if err != nil {
			return err
		}
	}
}
