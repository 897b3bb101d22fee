// SPDX-License-Identifier: Apache-2.0

package update

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/unit"
)

// hooked is a manager with one unit, which has a state each time that it is asked for.
type hooked struct {
	states  []unit.Properties
	started int
	fails   error
}

func (h *hooked) Properties(context.Context, string) (unit.Properties, error) {
	p := h.states[0]
	if len(h.states) > 1 {
		h.states = h.states[1:]
	}
	return p, nil
}

func (h *hooked) Start(context.Context, string) error {
	h.started++
	return h.fails
}

func TestHook(t *testing.T) {
	is := func(states ...string) (list []unit.Properties) {
		for _, s := range states {
			list = append(list, unit.Properties{ActiveState: s})
		}
		return list
	}
	for name, c := range map[string]struct {
		hooked
		starts    int
		warns, is string
	}{
		"one that rests":                            {hooked{states: is("inactive")}, 1, "", ""},
		"one that has failed before":                {hooked{states: is("failed")}, 1, "", ""},
		"one that has the report of another update": {hooked{states: is("activating", "inactive")}, 2, "", ""},
		"one that is about to":                      {hooked{states: []unit.Properties{{HasJob: true, ActiveState: "inactive"}, {ActiveState: "inactive"}}}, 2, "", ""},
		"one that stays active":                     {hooked{states: is("active")}, 1, "was not started with this report", ""},
		"one that fails":                            {hooked{states: is("inactive"), fails: errors.New("boom")}, 1, "", "OnUpdate=u.service: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			warning, err := Hook(context.Background(), &c.hooked, "u.service")
			if c.started != c.starts || (warning == "") != (c.warns == "") || !strings.Contains(warning, c.warns) {
				t.Errorf("%d starts, warning %q; want %d, %q", c.started, warning, c.starts, c.warns)
			}
			if (err == nil) != (c.is == "") || err != nil && err.Error() != c.is {
				t.Errorf("%v; want %q", err, c.is)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if warning, err := Hook(ctx, &hooked{states: is("inactive"), fails: ctx.Err()}, "u.service"); err == nil || warning != "" {
		t.Errorf("who is told to end says %q, %v", warning, err)
	}
}

// TestHookName: the unit is one that can be started, and is not the update itself.
func TestHookName(t *testing.T) {
	for _, bad := range []string{"mail", "mail update.service", "../mail.service", "mail@.service", "mail.txt", ".service", "a.service b.service",
		"podunit-auto-update.service", "podunit-auto-update-watch.service", strings.Repeat("x", 250) + ".service", "mail\x1b.service"} {
		var s Settings
		if err := s.set("OnUpdate", bad); err == nil || s.OnUpdate != "" {
			t.Errorf("%q is taken", bad)
		}
	}
	var good []string
	for _, name := range []string{"mail-update.service", "mail@web.service", "news.target", "a\\x2db.path", ""} {
		var s Settings
		if err := s.set("OnUpdate", name); err != nil {
			t.Error(err)
		}
		good = append(good, s.OnUpdate)
	}
	if want := []string{"mail-update.service", "mail@web.service", "news.target", "a\\x2db.path", ""}; !slices.Equal(good, want) {
		t.Errorf("%q; want %q", good, want)
	}
}
