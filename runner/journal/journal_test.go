// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	one = Source{ID: strings.Repeat("1", 64), Name: "one"}
	two = Source{ID: strings.Repeat("2", 64), Name: "two"}
)

// record is an entry in the export format.
func record(at int, s Source, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "__CURSOR=s=%d\n__REALTIME_TIMESTAMP=%d\n%s=%s\n", at, at, FieldIDFull, s.ID)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		if strings.ContainsAny(value, "\n\x00") {
			b.WriteString(name + "\n")
			b.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(value))))
			b.WriteString(value + "\n")
			continue
		}
		b.WriteString(f + "\n")
	}
	return b.String() + "\n"
}

func TestParseAndPrint(t *testing.T) {
	text := record(1000001, one, "PRIORITY=6", "MESSAGE=hello") +
		record(1000002, one, "PRIORITY=3", "MESSAGE=oops") +
		record(1000003, two, "PRIORITY=6", "MESSAGE=") +
		record(1000004, one, "PRIORITY=6", "MESSAGE=two\nlines") +
		record(1000005, one, "PRIORITY=6", "MESSAGE=begin-", FieldPartial+"=true") +
		record(1000006, one, "PRIORITY=3", "MESSAGE=meanwhile") +
		record(1000007, one, "PRIORITY=6", "MESSAGE=end") +
		record(1000008, Source{ID: "3"}, "MESSAGE=somebody else's") +
		"__CURSOR=cut off"
	for _, tt := range []struct {
		name     string
		style    Style
		sources  []Source
		out, err string
	}{
		{"one container", Style{}, []Source{one}, "hello\ntwo\nlines\nbegin-end\n", "oops\nmeanwhile\n"},
		{"one container, its name is not needed", Style{Names: true}, []Source{one}, "hello\ntwo\nlines\nbegin-end\n", "oops\nmeanwhile\n"},
		{
			"two containers by ID", Style{}, []Source{one, two},
			"111111111111 hello\n222222222222 \n111111111111 two\nlines\n111111111111 begin-end\n",
			"111111111111 oops\n111111111111 meanwhile\n",
		},
		{
			"names, times and colors", Style{Names: true, Timestamps: true, Color: true}, []Source{one, two},
			"\x1b[31mone\x1b[0m 1970-01-01T00:00:01.000001000Z hello\n\x1b[32mtwo\x1b[0m 1970-01-01T00:00:01.000003000Z \n" +
				"\x1b[31mone\x1b[0m 1970-01-01T00:00:01.000004000Z two\nlines\n\x1b[31mone\x1b[0m 1970-01-01T00:00:01.000005000Z begin-end\n",
			"\x1b[31mone\x1b[0m 1970-01-01T00:00:01.000002000Z oops\n\x1b[31mone\x1b[0m 1970-01-01T00:00:01.000006000Z meanwhile\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			p := NewPrinter(&out, &errs, tt.style, tt.sources)
			err := parse(strings.NewReader(text), tt.sources, func(e Entry) error {
				e.Time = e.Time.UTC()
				return p.Print(e)
			})
			if err != nil || out.String() != tt.out || errs.String() != tt.err {
				t.Errorf("%v\nout %q\nwant %q\nerr %q\nwant %q", err, out.String(), tt.out, errs.String(), tt.err)
			}
		})
	}
}

func TestParseUnits(t *testing.T) {
	s := []Source{{ID: one.ID, Name: "a", Unit: "a.service"}, {ID: two.ID, Name: "b", Unit: "b.service"}}
	text := "_SYSTEMD_USER_UNIT=a.service\n_SYSTEMD_UNIT=user@1000.service\nMESSAGE=x\n\n_SYSTEMD_UNIT=b.service\nMESSAGE=y\n\n"
	var got []string
	err := parse(strings.NewReader(text), s, func(e Entry) error {
		got = append(got, e.Source.Name+" "+string(e.Message))
		return nil
	})
	if err != nil || strings.Join(got, ",") != "a x,b y" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestArgs(t *testing.T) {
	q := Query{Sources: []Source{one, {ID: "x", Unit: "u.service"}}, UID: 1000, Since: time.UnixMicro(5_000_001)}
	got := strings.Join(q.args([]string{"--lines=3"}), " ")
	want := "--quiet --no-pager --all --output=export " +
		"--output-fields=MESSAGE,PRIORITY,CONTAINER_ID_FULL,CONTAINER_PARTIAL_MESSAGE,PODMAN_EVENT,_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT " +
		"--since=@5.000001 --lines=3 _UID=1000 CONTAINER_ID_FULL=" + one.ID + " + _UID=1000 _TRANSPORT=stdout _SYSTEMD_USER_UNIT=u.service + _UID=1000 _TRANSPORT=stdout _SYSTEMD_UNIT=u.service"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// fake is a journalctl that answers from files, by what it is asked for:
// history, tail-ID, follow, and once each rest and late.
func fake(t *testing.T, answers map[string]string) Reader {
	t.Helper()
	dir := t.TempDir()
	for name, text := range answers {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := `#!/bin/sh
echo "$*" >>` + dir + `/asked
name=history
for a in "$@"; do
	case $a in
	--after-cursor=*|--since=*) test $name = follow || name=rest ;;
	--follow) name=follow ;;
	--lines=*) name=tail ;;
	CONTAINER_ID_FULL=*) test $name = tail && name=tail-$(printf %.1s "${a#*=}") ;;
	esac
done
test -p ` + dir + `/$name && exec cat ` + dir + `/$name
test -e ` + dir + `/$name && cat ` + dir + `/$name
test $name = follow && exec sleep 60
test $name = rest && cd ` + dir + ` && rm -f rest && test -e late && mv late rest
test -e ` + dir + `/stderr && cat ` + dir + `/stderr >&2 && exit 1
exit 0
`
	path := filepath.Join(dir, "journalctl")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return Reader{Command: path}
}

func read(t *testing.T, r Reader, q Query) (string, error) {
	t.Helper()
	var got []string
	err := r.Read(context.Background(), q, func(e Entry) error {
		got = append(got, string(e.Message))
		return nil
	})
	return strings.Join(got, ","), err
}

func TestTailOfSeveral(t *testing.T) {
	r := fake(t, map[string]string{
		"tail-1": record(1, one, "MESSAGE=a") + record(4, one, "MESSAGE=d"),
		"tail-2": record(2, two, "MESSAGE=b") + record(3, two, "MESSAGE=c"),
	})
	if got, err := read(t, r, Query{Sources: []Source{one, two}, Tail: 2}); err != nil || got != "a,b,c,d" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestFollowUntilTheEnd(t *testing.T) {
	r := fake(t, map[string]string{
		"history": record(1, one, "MESSAGE=a"),
		"follow":  record(2, one, "MESSAGE=b"),
		"rest":    record(3, one, "MESSAGE=c"),
		"late":    record(4, one, "MESSAGE=d"), // journald is behind
	})
	var got []string
	var last atomic.Bool // b is the last of those that come while following
	err := r.Read(context.Background(), Query{Sources: []Source{one}, Tail: -1, Follow: true, Ended: last.Load}, func(e Entry) error {
		got = append(got, string(e.Message))
		last.Store(last.Load() || string(e.Message) == "b")
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("got %v, %v", got, err)
	}
	asked, err := os.ReadFile(filepath.Join(filepath.Dir(r.Command), "asked"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(asked)), "\n")
	if len(lines) != 5 || !strings.Contains(lines[1], "--after-cursor=s=1 --follow") || !strings.Contains(lines[2], "--after-cursor=s=2 ") || !strings.Contains(lines[4], "--after-cursor=s=4 ") {
		t.Errorf("asked %s", asked)
	}
}

// TestFollowToTheMark: once nothing more will come, an entry of our own tells when all of it has
// been read; no time has to pass.
func TestFollowToTheMark(t *testing.T) {
	r := fake(t, map[string]string{})
	dir := filepath.Dir(r.Command)
	follow := filepath.Join(dir, "follow")
	if err := unix.Mkfifo(follow, 0o600); err != nil {
		t.Fatal(err)
	}
	journald, err := os.OpenFile(follow, os.O_RDWR, 0) // and cat reads on
	if err != nil {
		t.Fatal(err)
	}
	defer journald.Close()
	write := func(text string) {
		if _, err := journald.WriteString(text); err != nil {
			t.Error(err)
		}
	}
	over := make(chan struct{})
	r.patience = time.Minute
	r.Mark = func(fields map[string]string) error {
		// What was on its way comes before the mark, and what somebody else writes later does not
		// count.
		write(record(3, one, "MESSAGE=c") + record(4, Source{}, "MESSAGE=followed", fieldMark+"="+fields[fieldMark]) + record(5, one, "MESSAGE=d"))
		return nil
	}
	write(record(2, one, "MESSAGE=b"))
	var got []string
	err = r.Read(t.Context(), Query{Sources: []Source{one}, Tail: -1, Follow: true, Over: over}, func(e Entry) error {
		if got = append(got, string(e.Message)); string(e.Message) == "b" {
			close(over)
		}
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"b", "c"}) && !slices.Equal(got, []string{"b", "c", "d"}) {
		t.Errorf("got %v, %v", got, err)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil || strings.Count(string(asked), "\n") != 2 || !strings.Contains(string(asked), " + _UID=0 "+fieldMark+"=") {
		t.Errorf("asked %s, %v", asked, err)
	}
}

func TestFollowGivenUp(t *testing.T) {
	r := fake(t, map[string]string{"follow": record(2, one, "MESSAGE=b")})
	ctx, cancel := context.WithCancel(context.Background())
	var got []string
	err := r.Read(ctx, Query{Sources: []Source{one}, Follow: true}, func(e Entry) error {
		got = append(got, string(e.Message))
		cancel()
		return nil
	})
	if err != nil || len(got) != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	until := Query{Sources: []Source{one}, Follow: true, Until: time.Now().Add(20 * time.Millisecond)}
	if _, err := read(t, r, until); err != nil {
		t.Errorf("until: %v", err)
	}
	if late := time.Since(until.Until); late > 50*time.Second { // the fake one ends by itself after a minute
		t.Errorf("until: it ends %s after that", late)
	}
}

func TestFaults(t *testing.T) {
	q := Query{Sources: []Source{one}, Tail: -1}
	r := fake(t, map[string]string{"stderr": "No journal files were opened due to insufficient permissions.\n"})
	var denied NoAccessError
	if _, err := read(t, r, q); !errors.As(err, &denied) || !strings.Contains(denied.Hint(), "systemd-journal") {
		t.Errorf("no access: %v", err)
	}
	r = fake(t, map[string]string{"stderr": "Bad message\n"})
	if _, err := read(t, r, q); err == nil || !strings.Contains(err.Error(), "Bad message") {
		t.Errorf("another complaint: %v", err)
	}
	var missing NoJournalctlError
	if _, err := read(t, Reader{Command: "podunit-no-such-program"}, q); !errors.As(err, &missing) || !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no program: %v", err)
	}
	boom := errors.New("boom")
	r = fake(t, map[string]string{"history": record(1, one, "MESSAGE=a")})
	if err := r.Read(context.Background(), q, func(Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("an error of the reader's: %v", err)
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("X", 3600)
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, zone)
	for s, want := range map[string]string{
		"10m":                       "2026-03-04T11:50:00+01:00",
		"2026-03-04":                "2026-03-04T00:00:00+01:00",
		"2026-03-04T05:06:07":       "2026-03-04T05:06:07+01:00",
		"2026-03-04 05:06:07.25":    "2026-03-04T05:06:07.25+01:00",
		"2026-03-04T05:06":          "2026-03-04T05:06:00+01:00",
		"2026-03-04T05:06:07Z":      "2026-03-04T06:06:07+01:00",
		"2026-03-04T05:06:07+02:00": "2026-03-04T04:06:07+01:00",
		"1":                         "1970-01-01T01:00:01+01:00",
		"1.5":                       "1970-01-01T01:00:01.5+01:00",
		"0":                         "1970-01-01T01:00:00+01:00",
	} {
		got, err := ParseTime(s, now)
		if err != nil || got.In(zone).Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %v; want %s", s, got.In(zone).Format(time.RFC3339Nano), err, want)
		}
	}
	for s, want := range map[string]string{"10m": "2026-03-04T12:10:00+01:00", "-10m": "2026-03-04T11:50:00+01:00", "2026-03-04": "2026-03-04T00:00:00+01:00"} {
		if got, err := ParseEnd(s, now); err != nil || got.In(zone).Format(time.RFC3339Nano) != want {
			t.Errorf("end %s: %v, %v; want %s", s, got, err, want)
		}
	}
	if _, err := ParseTime("yesterday", now); err == nil {
		t.Error("yesterday is a time")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(record(1, one, "MESSAGE=a\nb", "PRIORITY=3")))
	f.Add([]byte("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = parse(bytes.NewReader(data), []Source{one}, func(Entry) error { return nil })
	})
}

func TestComplaint(t *testing.T) {
	r := fake(t, map[string]string{"rest": "podunit: error: first\n  hint: old\nother\npodunit: error: publish port 81/tcp: permission denied\n  hint: a way out\nnot ours\n"})
	m, h := r.Complaint(context.Background(), 1000, "web.service", time.Unix(5, 0), time.Second)
	if m != "publish port 81/tcp: permission denied" || h != "a way out" {
		t.Errorf("got %q, %q", m, h)
	}
	asked, err := os.ReadFile(filepath.Join(filepath.Dir(r.Command), "asked"))
	if err != nil {
		t.Fatal(err)
	}
	want := "--since=@5.000000 _UID=1000 MESSAGE_ID=" + ComplaintID + " USER_UNIT=web.service + _UID=1000 MESSAGE_ID=" + ComplaintID + " OBJECT_SYSTEMD_UNIT=web.service\n"
	if !strings.HasSuffix(string(asked), want) {
		t.Errorf("asked %s", asked)
	}
	if m, h := (Reader{Command: "podunit-no-such-program"}).Complaint(context.Background(), 1000, "x.service", time.Unix(5, 0), time.Second); m+h != "" {
		t.Errorf("got %q, %q", m, h)
	}
}
