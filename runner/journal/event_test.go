// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	noon    = time.Date(2026, 3, 2, 12, 0, 0, 5, time.UTC)
	code    = 7
	started = Event{
		Type: "container", Status: "start", Time: noon, ID: one.ID, Name: "web", Image: "localhost/nginx:1", PodID: two.ID,
		Labels: map[string]string{"b": "2", "a": "1=\n"}, Made: noon.Add(-time.Second),
	}
	died = Event{Type: "container", Status: "died", Time: noon.Add(time.Second), ID: one.ID, Name: "web", Image: "localhost/nginx:1", ExitCode: &code}
	sick = Event{
		Type: "container", Status: "health_status", Time: noon, ID: one.ID, Name: "web",
		Health: &Health{Status: "unhealthy", FailingStreak: 3, Log: "no\nanswer"},
	}
)

// written is an event as the journal exports it.
func written(e Event) string {
	fields := []string{"_BOOT_ID=1"}
	f := e.Fields()
	for _, k := range slices.Sorted(maps.Keys(f)) {
		fields = append(fields, k+"="+f[k])
	}
	return record(1, Source{}, fields...)
}

func TestEventsAreReadAsTheyWereNoted(t *testing.T) {
	for _, want := range []Event{
		started, died, sick,
		{Type: "image", Status: "pull", Time: noon, ID: "f00", Name: "docker.io/library/nginx:1"},
		{Type: "network", Status: "connect", Time: noon, ID: one.ID, Network: "front"},
		{Type: "volume", Status: "create", Time: noon, Name: "data"},
	} {
		got, err := eventOf(want.Fields())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	}
	for field, bad := range map[string]string{fieldTime: "noon", fieldExit: "x", fieldLabels: "{", fieldMade: "x", fieldStreak: "x"} {
		f := sick.Fields()
		f[field] = bad
		if _, err := eventOf(f); err == nil {
			t.Errorf("%s=%s: no error", field, bad)
		}
	}
}

func TestEventText(t *testing.T) {
	t.Setenv("TZ", "UTC")
	id, at := one.ID[:12], noon.Local().String()
	for want, e := range map[string]Event{
		at + " container start " + id + " (image=localhost/nginx:1, name=web, pod_id=" + two.ID + ", a=1=\n, b=2)":                             started,
		at + " container health_status " + id + " (image=, name=web, health_status=unhealthy, health_failing_streak=3, health_log=no\nanswer)": sick,
		at + " image pull f00 docker.io/nginx":                              {Type: "image", Status: "pull", Time: noon, ID: "f00", Name: "docker.io/nginx"},
		at + " network connect " + id + " (container=" + id + ", name=net)": {Type: "network", Status: "connect", Time: noon, ID: one.ID, Network: "net"},
		at + " network create " + id + " (name=net)":                        {Type: "network", Status: "create", Time: noon, ID: one.ID, Network: "net"},
		at + " volume remove data":                                          {Type: "volume", Status: "remove", Time: noon, Name: "data"},
		at + " secret create 1234":                                          {Type: "secret", Status: "create", Time: noon, ID: "1234", Name: "key"},
	} {
		if got := e.Text(true); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if got := started.Text(false); !strings.Contains(got, one.ID+" (") {
		t.Errorf("the whole ID is missing: %s", got)
	}
}

// TestEvents: a start stands for three, an entry that is none is left out, and what comes after the
// end, too.
func TestEvents(t *testing.T) {
	dir := t.TempDir()
	noEvent := record(2, Source{}, "MESSAGE=x", fieldType+"=container")
	late := died
	late.Time = noon.Add(time.Hour)
	if err := os.WriteFile(filepath.Join(dir, "entries"), []byte(written(started)+noEvent+written(died)+written(late)), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho \"$*\" >>" + dir + "/asked\ncat " + dir + "/entries\ncase \"$*\" in *--follow*) exec sleep 60;; esac\n"
	r := Reader{Command: filepath.Join(dir, "journalctl")}
	if err := os.WriteFile(r.Command, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var got []string
	read := func(ctx context.Context, q EventQuery, last string) error {
		got = nil
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		return r.Events(ctx, q, func(e Event) error {
			got = append(got, e.Status+" "+e.Time.Format(time.TimeOnly))
			if e.Status == last {
				cancel()
			}
			return nil
		})
	}
	want := "create 11:59:59,init 12:00:00,start 12:00:00,died 12:00:01"
	if err := read(context.Background(), EventQuery{UID: 1000, Since: noon, Until: noon.Add(time.Minute)}, ""); err != nil || strings.Join(got, ",") != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
	if err := read(context.Background(), EventQuery{UID: 1000, Follow: true}, "died"); err != nil || !strings.HasPrefix(strings.Join(got, ","), want) {
		t.Errorf("following: %v %s", err, got)
	}
	if err := read(context.Background(), EventQuery{UID: 1000, Follow: true, Until: time.Now().Add(200 * time.Millisecond)}, ""); err != nil {
		t.Errorf("following up to a time: %v", err)
	}
	broken := errors.New("broken pipe")
	if err := r.Events(context.Background(), EventQuery{}, func(Event) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(asked), "\n")
	for i, want := range []string{"--since=@1772452800.000000 --until=@1772452860.000000 _UID=1000 MESSAGE_ID=" + EventID, "--follow --no-tail _UID=1000", "--follow --no-tail _UID=1000"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("asked %s\nwant  %s", lines[i], want)
		}
	}
}

// TestAnEventIsNoLineOfAContainer: a container whose output is its unit's shares the unit with
// podunit.
func TestAnEventIsNoLineOfAContainer(t *testing.T) {
	var got []string
	of := "_SYSTEMD_USER_UNIT=web.service"
	text := record(1, Source{}, "MESSAGE=hello", of) + record(2, Source{}, "MESSAGE=container start web", fieldEvent+"=start", of)
	err := parse(strings.NewReader(text), []Source{{Name: "web", Unit: "web.service"}}, func(e Entry) error {
		got = append(got, string(e.Message))
		return nil
	})
	if err != nil || strings.Join(got, ",") != "hello" {
		t.Errorf("%v %q", err, got)
	}
}
