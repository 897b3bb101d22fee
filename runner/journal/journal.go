// SPDX-License-Identifier: Apache-2.0

// Package journal reads what containers wrote from the system's journal and
// draws it as `logs` does elsewhere. It runs journalctl(1): the library would have
// to be there at build time, and its entries come in the same order.
package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	journald "github.com/coreos/go-systemd/v22/journal"
)

// Fields that podunit's log copier adds to each line, the same as elsewhere.
const (
	FieldIDFull  = "CONTAINER_ID_FULL"
	FieldPartial = "CONTAINER_PARTIAL_MESSAGE" // "true": the line goes on in the next entry
)

// Source is a container whose lines are wanted.
type Source struct {
	ID, Name string
	// Unit, if set, is the unit, of either manager, whose own output is the
	// container's (log driver passthrough): its lines carry no field of ours.
	Unit string
}

// Query says what to read.
type Query struct {
	Sources []Source
	// UID is the host's user who wrote the lines. It keeps others from putting
	// lines into our containers' mouths.
	UID int
	// Tail is how many of the last lines of each container to show; negative means all.
	Tail int
	// Since and Until bound the time, where not zero.
	Since, Until time.Time
	// Follow goes on with new lines until ctx ends or Ended.
	Follow bool
	// Ended tells, while following, that no more lines will come. It is asked
	// now and then; nil means never.
	Ended func() bool
	// Over is closed when no more lines will come; it is in the place of Ended for who knows at
	// once. It may be nil.
	Over <-chan struct{}

	mark    string // also wanted is the entry that Reader.mark writes with it
	reached func() // is called when that was read
}

// Entry is one line of a container.
type Entry struct {
	Source  Source
	Time    time.Time
	Message []byte // without newline
	Stderr  bool
	Partial bool // the line goes on in the next entry of the same source and stream
	cursor  string
	mark    bool // it is no line, but what Reader.mark has written
}

// Read gives the entries to each, oldest first. It returns nil at the end, and
// when ctx ends while following; otherwise the error of ctx, of each, or of the journal.
func Read(ctx context.Context, q Query, each func(Entry) error) error {
	return Reader{Command: "journalctl", Mark: Mark}.Read(ctx, q, each)
}

// Reader reads with a journalctl of one's choice.
type Reader struct {
	Command string
	// Apart gives it a process group of its own, so that Ctrl-C on a terminal is for us alone.
	Apart bool
	// Mark writes an entry to the journal for a reader who wants to know that it has all entries
	// before it; nil if nothing can. See Mark.
	Mark func(fields map[string]string) error

	patience time.Duration // for news after the end; quiet if zero
}

// fieldMark marks an entry that is none of the container's, but a reader's own.
const fieldMark = "PODUNIT_MARK"

// Mark writes one, at the level debug, as events are.
func Mark(fields map[string]string) error {
	return journald.Send("the log of a container was followed to its end", journald.PriDebug, fields)
}

// Read is as the function Read.
func (r Reader) Read(ctx context.Context, q Query, each func(Entry) error) error {
	seen := false
	from := following{since: time.Now()}
	note := func(e Entry) error {
		seen, from.cursor = true, e.cursor
		return each(e)
	}
	var err error
	if q.Tail >= 0 && len(q.Sources) > 1 {
		err = r.tails(ctx, q, note)
	} else {
		err = r.history(ctx, q, note)
	}
	if err != nil {
		return err
	}
	if q.Follow {
		return r.follow(ctx, q, from, each)
	}
	if !seen && !anyJournal() {
		return NoJournalError{}
	}
	return nil
}

func (r Reader) history(ctx context.Context, q Query, each func(Entry) error) error {
	var extra []string
	if q.Tail >= 0 {
		extra = []string{"--lines=" + strconv.Itoa(q.Tail)}
	}
	return r.run(ctx, q, extra, each)
}

// tails asks for each container alone, since journalctl counts lines over all.
func (r Reader) tails(ctx context.Context, q Query, each func(Entry) error) error {
	var all []Entry
	for _, s := range q.Sources {
		one := q
		one.Sources = []Source{s}
		err := r.history(ctx, one, func(e Entry) error {
			e.Message = bytes.Clone(e.Message)
			all = append(all, e)
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return a.Time.Compare(b.Time) })
	for _, e := range all {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// What ends following from inside: no more lines will come, and with errComplete all have been read.
var errEnded, errComplete = errors.New("ended"), errors.New("complete")

const (
	endPoll = 250 * time.Millisecond // how often Ended is asked
	// quiet is how long nothing more must have come after the end: journald may be behind.
	quiet = time.Second
)

// following is where to go on: after an entry, or from a time if there was none.
type following struct {
	cursor string
	since  time.Time
}

func (f following) arg() string {
	if f.cursor == "" {
		return "--since=" + stamp(f.since)
	}
	return "--after-cursor=" + f.cursor
}

// follow goes on with new entries.
func (r Reader) follow(ctx context.Context, q Query, from following, each func(Entry) error) error {
	news := make(chan struct{}, 1)
	note := func(e Entry) error {
		from.cursor = e.cursor
		select {
		case news <- struct{}{}:
		default:
		}
		return each(e)
	}
	if from.since.Before(q.Since) {
		from.since = q.Since
	}
	if !q.Until.IsZero() { // journalctl has no --until with --follow
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, q.Until)
		defer cancel()
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	reached := make(chan struct{})
	q.mark, q.reached = rand.Text(), sync.OnceFunc(func() { close(reached) })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if !q.awaitEnd(running) {
			return
		}
		r.mark(q)
		for {
			select {
			case <-running.Done():
				return
			case <-reached:
				stop(errComplete)
				return
			case <-news:
			case <-time.After(cmp.Or(r.patience, quiet)):
				stop(errEnded)
				return
			}
		}
	}()
	q.Tail = -1
	q.Since, q.Until = time.Time{}, time.Time{} // journalctl takes one beginning only
	err := r.run(running, q, []string{from.arg(), "--follow", "--no-tail"}, note)
	stop(nil)
	<-ended
	switch {
	case errors.Is(err, errComplete):
		return nil
	case errors.Is(err, errEnded):
		// What journald wrote between our last look and the end; journalctl may be behind, too.
		for {
			before := from
			if err := r.run(ctx, q, []string{from.arg()}, note); err != nil || from == before {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(quiet):
			}
		}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	}
	return err
}

// awaitEnd waits until no more lines will come; it is false if ctx ends before.
func (q Query) awaitEnd(ctx context.Context) bool {
	for q.Over == nil && q.Ended != nil && !q.Ended() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(endPoll):
		}
	}
	if q.Over == nil && q.Ended != nil {
		return true
	}
	select { // a channel that is nil never comes
	case <-ctx.Done():
		return false
	case <-q.Over:
		return true
	}
}

// mark writes an entry that comes after all lines of the containers: who wrote those sent them to
// the same socket of journald's, which reads it in order. What came by a service's own output took
// another way; there, nothing is marked.
func (r Reader) mark(q Query) {
	if r.Mark == nil || slices.ContainsFunc(q.Sources, func(s Source) bool { return s.Unit != "" }) {
		return
	}
	// It has no FieldIDFull: journalctl would count it among the last lines. If it fails, a time
	// without news is the end.
	_ = r.Mark(map[string]string{fieldMark: q.mark, "SYSLOG_IDENTIFIER": "podunit"})
}

// args are journalctl's. Matches of one field are alternatives, of different
// fields conditions; a plus parts whole alternatives.
func (q Query) args(extra []string) []string {
	out := []string{
		"--quiet", "--no-pager", "--all", "--output=export",
		"--output-fields=MESSAGE,PRIORITY," + FieldIDFull + "," + FieldPartial + "," + fieldEvent + ",_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT",
	}
	if q.mark != "" {
		out[len(out)-1] += "," + fieldMark
	}
	if !q.Since.IsZero() {
		out = append(out, "--since="+stamp(q.Since))
	}
	if !q.Until.IsZero() {
		out = append(out, "--until="+stamp(q.Until))
	}
	out = append(out, extra...)
	for i, s := range q.Sources {
		if i > 0 {
			out = append(out, "+")
		}
		uid := "_UID=" + strconv.Itoa(q.UID)
		if s.Unit == "" {
			out = append(out, uid, FieldIDFull+"="+s.ID)
		} else {
			const own = "_TRANSPORT=stdout" // what the container wrote, and not what podunit notes in its unit
			out = append(out, uid, own, "_SYSTEMD_USER_UNIT="+s.Unit, "+", uid, own, "_SYSTEMD_UNIT="+s.Unit)
		}
	}
	if q.mark != "" {
		out = append(out, "+", "_UID="+strconv.Itoa(q.UID), fieldMark+"="+q.mark)
	}
	return out
}

// stamp is a time as journalctl reads it. Source: systemd.time(7).
func stamp(t time.Time) string {
	us := t.UnixMicro()
	return fmt.Sprintf("@%d.%06d", us/1e6, us%1e6)
}

// run runs journalctl once.
func (r Reader) run(ctx context.Context, q Query, extra []string, each func(Entry) error) error {
	lines := func(e Entry) error {
		if e.mark {
			q.reached()
			return nil
		}
		return each(e)
	}
	return r.execute(ctx, q.args(extra), func(out io.Reader) error { return parse(out, q.Sources, lines) })
}

// execute runs journalctl with arguments and has its output read. It ends when that has an error.
func (r Reader) execute(ctx context.Context, args []string, read func(io.Reader) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, r.Command, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C") // its complaints are read below
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: r.Apart}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return NoJournalctlError{Err: err}
		}
		return fmt.Errorf("read the journal: %w", err)
	}
	perr := read(out)
	if perr != nil {
		stop(perr)
	}
	werr := cmd.Wait()
	switch {
	case perr != nil:
		return perr
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case werr != nil:
		text := strings.TrimSpace(said.String())
		if strings.Contains(text, "insufficient permissions") {
			return NoAccessError{}
		}
		return fmt.Errorf("read the journal: journalctl: %s (%w)", text, werr)
	}
	return nil
}

// parse reads the journal export format: a field a line, binary ones with their
// length, and an empty line after each entry. Source: systemd.io/JOURNAL_EXPORT_FORMATS.
func parse(r io.Reader, sources []Source, each func(Entry) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var d draft
	for {
		name, value, err := readField(in)
		switch {
		case errors.Is(err, io.EOF):
			return d.give(sources, each)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil // journalctl was stopped in the middle of an entry
		case err != nil:
			return err
		case name == "":
			err = d.give(sources, each)
			d = draft{}
		default:
			err = d.set(name, value)
		}
		if err != nil {
			return err
		}
	}
}

// readField reads one field. The name is empty for the line that ends an entry. The error is io.EOF
// at the end of a line and io.ErrUnexpectedEOF within one.
func readField(in *bufio.Reader) (name string, value []byte, err error) {
	// No field can be longer: the journal's own limit for one is 768 MiB, and a
	// line of a container is cut at 1 MiB.
	const longest = 768 << 20
	line, err := in.ReadBytes('\n')
	if err != nil {
		return "", nil, endWithin(err, len(line) > 0)
	}
	line = line[:len(line)-1]
	before, value, ok := bytes.Cut(line, []byte("="))
	if ok || len(line) == 0 {
		return string(before), value, nil
	}
	var size [8]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return "", nil, endWithin(err, true)
	}
	n := leUint64(size)
	if n > longest {
		return "", nil, fmt.Errorf("read the journal: field %s claims %d bytes", before, n)
	}
	var b bytes.Buffer // grows with what is there, whatever the number says
	if _, err := io.CopyN(&b, in, int64(n)+1); err != nil {
		return "", nil, endWithin(err, true)
	}
	return string(before), b.Bytes()[:n], nil // without the newline
}

// endWithin makes io.EOF the other error where it comes within a line.
func endWithin(err error, within bool) error {
	if within && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// draft is an entry of which fields are still read.
type draft struct {
	entry              Entry
	id, unit, userUnit string
	some               bool // it has a field
	event              bool // podunit wrote it, not the container
}

func (d *draft) set(name string, value []byte) error {
	d.some = true
	switch name {
	case "__CURSOR":
		d.entry.cursor = string(value)
	case "__REALTIME_TIMESTAMP":
		us, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		d.entry.Time = time.UnixMicro(us)
	case "MESSAGE":
		d.entry.Message = value
	case "PRIORITY":
		// 3 is err, and lower is worse. Source: syslog(3).
		p, err := strconv.Atoi(string(value))
		d.entry.Stderr = err == nil && p <= 3
	case FieldPartial:
		d.entry.Partial = string(value) == "true"
	case FieldIDFull:
		d.id = string(value)
	case fieldEvent:
		d.event = true
	case fieldMark:
		d.entry.mark = true
	case "_SYSTEMD_UNIT":
		d.unit = string(value)
	case "_SYSTEMD_USER_UNIT":
		d.userUnit = string(value)
	}
	return nil
}

// give hands the entry to each, with the source that it came from.
func (d *draft) give(sources []Source, each func(Entry) error) error {
	switch {
	case !d.some || d.event:
		return nil
	case d.entry.mark:
		return each(d.entry)
	}
	i := slices.IndexFunc(sources, func(s Source) bool {
		if s.Unit == "" {
			return s.ID == d.id
		}
		return s.Unit == d.userUnit || s.Unit == d.unit
	})
	if i < 0 {
		return nil // not asked for; cannot be
	}
	d.entry.Source = sources[i]
	return each(d.entry)
}

func leUint64(b [8]byte) uint64 {
	var n uint64
	for i := range b {
		n |= uint64(b[i]) << (8 * i)
	}
	return n
}

// anyJournal tells whether there is a journal file that we can see.
func anyJournal() bool {
	for _, dir := range []string{"/var/log/journal", "/run/log/journal"} {
		if found, err := filepath.Glob(dir + "/*/*.journal"); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// NoJournalctlError says that the program is missing.
type NoJournalctlError struct{ Err error }

func (e NoJournalctlError) Error() string { return fmt.Sprintf("read the journal: %v", e.Err) }
func (e NoJournalctlError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e NoJournalctlError) Hint() string { return "journalctl is part of systemd: apt install systemd" }

// NoAccessError says that the journal may not be read.
type NoAccessError struct{}

func (NoAccessError) Error() string { return "read the journal: permission denied" }

// Hint is the way out.
func (NoAccessError) Hint() string {
	return "with a persistent journal everybody may read the own one: as root, mkdir -p /var/log/journal && journalctl --flush; " +
		"or join the group: usermod -aG systemd-journal USER"
}

// NoJournalError says that there is no journal to be seen.
type NoJournalError struct{}

func (NoJournalError) Error() string { return "read the journal: there is none that can be seen" }

// Hint is the way out.
func (NoJournalError) Hint() string { return NoAccessError{}.Hint() }

// Style is how entries are drawn.
type Style struct {
	Timestamps bool
	// Names puts names, not IDs, before the lines of several containers.
	Names bool
	// Color gives each of several containers a color of its own.
	Color bool
}

// timestampLayout is that of `logs` elsewhere: fixed width, so that lines sort.
const timestampLayout = "2006-01-02T15:04:05.000000000Z07:00"

// Printer draws entries: lines of stdout to Out, of stderr to Err.
type Printer struct {
	Out, Err io.Writer
	Style    Style
	sources  []Source
	open     map[part]bool // lines that have begun and not ended
}

type part struct {
	id     string
	stderr bool
}

// NewPrinter makes a Printer for entries of these sources.
func NewPrinter(out, err io.Writer, style Style, sources []Source) *Printer {
	return &Printer{Out: out, Err: err, Style: style, sources: sources, open: map[part]bool{}}
}

// Print draws one entry.
func (p *Printer) Print(e Entry) error {
	var b bytes.Buffer
	w := p.Out
	if e.Stderr {
		w = p.Err
	}
	key := part{e.Source.ID, e.Stderr}
	if !p.open[key] { // the rest of a line needs no beginning
		if len(p.sources) > 1 {
			b.WriteString(p.label(e.Source))
			b.WriteByte(' ')
		}
		if p.Style.Timestamps {
			b.WriteString(e.Time.Format(timestampLayout))
			b.WriteByte(' ')
		}
	}
	p.open[key] = e.Partial
	b.Write(e.Message)
	if !e.Partial {
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p *Printer) label(s Source) string {
	l := s.Name
	if !p.Style.Names {
		l = s.ID[:min(12, len(s.ID))]
	}
	if !p.Style.Color {
		return l
	}
	// The six colors of a terminal besides black and white.
	i := slices.Index(p.sources, s)
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", 31+max(i, 0)%6, l)
}

// ParseTime reads a point in time: RFC 3339, its date or local forms, seconds
// since 1970 with or without a fraction, or a duration before now such as 10m.
// Source: podman-logs(1), --since.
func ParseTime(s string, now time.Time) (time.Time, error) { return parseTime(s, now, -1) }

// ParseEnd is ParseTime for the end of what is to be read: there a duration counts from now on.
// Source: podman-logs(1), --until.
func ParseEnd(s string, now time.Time) (time.Time, error) { return parseTime(s, now, 1) }

func parseTime(s string, now time.Time, sign time.Duration) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && s != "0" {
		return now.Add(sign * d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < 1e12 {
		return time.UnixMicro(int64(f * 1e6)), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; write 2006-01-02T15:04:05, seconds since 1970, or 10m for ten minutes before now, after it for an end", s)
}
