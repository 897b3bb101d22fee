// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// has reports whether a property is among props, and what it is.
func has(props []systemd.Property, name string) (any, bool) {
	i := slices.IndexFunc(props, func(p systemd.Property) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return props[i].Value.Value(), true
}

func TestStartTimer(t *testing.T) {
	ctx := context.Background()
	timer := Timer{Description: "d", Pause: 5 * time.Second, Command: []string{"/p", "a"}, Limit: time.Minute, BoundTo: "web.service", Waits: true}
	f := &fake{}
	m := &Manager{conn: f}
	if err := m.StartTimer(ctx, "x.timer", timer); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.asked, ","); got != "transient x.timer ignore-requirements" || len(f.aux) != 1 || f.aux[0].Name != "x.service" {
		t.Fatalf("asked %s, beside it %v", got, f.aux)
	}
	for _, props := range [][]systemd.Property{f.props, f.aux[0].Properties} {
		bound, _ := has(props, "StopPropagatedFrom")
		after, _ := has(props, "After")
		if b, ok := bound.([]string); !ok || !slices.Equal(b, []string{"web.service"}) {
			t.Errorf("bound to %v", bound)
		}
		if a, ok := after.([]string); !ok || !slices.Equal(a, []string{"web.service"}) {
			t.Errorf("after %v", after)
		}
	}
	if bound, ok := has(f.aux[0].Properties, "BindsTo"); ok {
		t.Errorf("a run would start %v again", bound)
	}
	triggers, _ := has(f.props, "TimersMonotonic")
	if got, ok := triggers.([]trigger); !ok || !slices.Equal(got, []trigger{{"OnActiveSec", 0}, {"OnUnitInactiveSec", 5_000_000}}) {
		t.Errorf("triggers %v", triggers)
	}
	if level, _ := has(f.aux[0].Properties, "LogLevelMax"); level != int32(5) {
		t.Errorf("LogLevelMax=%v", level)
	}
	again := func() any {
		v, _ := has(f.aux[0].Properties, "Restart")
		return v
	}
	// limit is how often it starts within which time.
	limit := func() [2]any {
		within, _ := has(f.aux[0].Properties, "StartLimitIntervalUSec")
		most, _ := has(f.aux[0].Properties, "StartLimitBurst")
		return [2]any{within, most}
	}
	if got := limit(); got != [2]any{uint64(0), nil} {
		t.Errorf("no more than %v runs one after the other", got)
	}
	if again() != nil {
		t.Errorf("Restart=%v beside the next run", again())
	}
	timer.Waits = false
	if err := m.StartTimer(ctx, "x.timer", timer); err != nil {
		t.Fatal(err)
	}
	if after, ok := has(f.props, "After"); ok {
		t.Errorf("it waits for %v", after)
	}
	if m.StartTimer(ctx, "x.service", timer) == nil || m.StartTimer(ctx, "x.timer", Timer{Command: []string{"p"}}) == nil {
		t.Error("what cannot be is asked for")
	}
	// One that runs once goes afterwards; one of the calendar makes up what it has missed.
	if err := m.StartTimer(ctx, "x.timer", Timer{First: time.Second, Command: []string{"/p"}, Loud: true, Slice: "s.slice"}); err != nil {
		t.Fatal(err)
	}
	triggers, _ = has(f.props, "TimersMonotonic")
	if got, ok := triggers.([]trigger); !ok || len(got) != 1 {
		t.Errorf("triggers %v", triggers)
	}
	if remain, _ := has(f.props, "RemainAfterElapse"); remain != false {
		t.Errorf("it remains: %v", remain)
	}
	for _, name := range []string{"BindsTo", "StopPropagatedFrom"} {
		if v, ok := has(f.props, name); ok {
			t.Errorf("%s=%v", name, v)
		}
	}
	if _, ok := has(f.aux[0].Properties, "LogLevelMax"); ok {
		t.Error("it is not loud")
	}
	if again() != "on-abnormal" {
		t.Errorf("Restart=%v of a run that nobody makes up", again())
	}
	// Who is killed each time is not started for ever, and a calendar has each minute.
	rare := [2]any{uint64(300_000_000), uint32(10)}
	if got := limit(); got != rare {
		t.Errorf("one that is killed each time starts %v", got)
	}
	if err := m.StartTimer(ctx, "x.timer", Timer{Calendar: []string{"*-*-* 00:00:00"}, Command: []string{"/p"}}); err != nil {
		t.Fatal(err)
	}
	at, _ := has(f.props, "TimersCalendar")
	if got, ok := at.([]calendar); !ok || !slices.Equal(got, []calendar{{"OnCalendar", "*-*-* 00:00:00"}}) {
		t.Errorf("calendar %v", at)
	}
	if again() != "on-abnormal" {
		t.Errorf("Restart=%v of the calendar", again())
	}
	if got := limit(); got != rare {
		t.Errorf("one of the calendar that is killed each time starts %v", got)
	}
	if persistent, _ := has(f.props, "Persistent"); persistent != true {
		t.Errorf("Persistent=%v", persistent)
	}
	f.refuse = errors.New("no")
	if err := m.StartTimer(ctx, "x.timer", timer); err == nil {
		t.Errorf("%v", err)
	}
}

func TestAsk(t *testing.T) {
	ctx := context.Background()
	f := &fake{}
	m := &Manager{conn: f}
	if err := errors.Join(m.Ask(ctx, "restart", "a.service"), m.Ask(ctx, "stop", "a.timer")); err != nil {
		t.Error(err)
	}
	if got := strings.Join(f.asked, ","); got != "restart a.service replace,stop a.timer replace" {
		t.Errorf("asked %s", got)
	}
	absent := dbus.Error{Name: "org.freedesktop.systemd1.NoSuchUnit"}
	f.refuse = absent
	if err := m.Ask(ctx, "stop", "a.timer"); err != nil {
		t.Error(err)
	}
	f.refuse = absent
	if err := m.Ask(ctx, "restart", "a.service"); !errors.As(err, &dbus.Error{}) {
		t.Errorf("%v", err)
	}
}
