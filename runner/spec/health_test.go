// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// TestHealthTest has every written form of a check's command.
func TestHealthTest(t *testing.T) {
	for in, want := range map[string][]string{
		"":                            nil,
		"none":                        {"NONE"},
		"NONE":                        {"NONE"},
		`["none"]`:                    {"NONE"},
		"curl -f localhost || exit 1": {"CMD-SHELL", "curl -f localhost || exit 1"},
		"none of it":                  {"CMD-SHELL", "none of it"},
		"CMD curl  -f localhost":      {"CMD", "curl", "-f", "localhost"},
		"cmd true":                    {"CMD", "true"},
		"CMD-SHELL exit  0":           {"CMD-SHELL", "exit  0"},
		`["CMD","curl","-f","a b"]`:   {"CMD", "curl", "-f", "a b"},
		`["cmd-shell","exit","0"]`:    {"CMD-SHELL", "exit 0"},
		`["curl","-f","a b"]`:         {"CMD", "curl", "-f", "a b"},
		`["exit 0"]`:                  {"CMD-SHELL", "exit 0"},
		`[ -e /run/ready ]`:           {"CMD-SHELL", "[ -e /run/ready ]"},
	} {
		got, err := ParseHealthTest(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"CMD", "CMD-SHELL", "[]", `["CMD"]`, `[""]`} {
		if got, err := ParseHealthTest(in); err == nil {
			t.Errorf("%q: no error, but %q", in, got)
		}
	}
}

// parsed is the command line before Check has judged it: what nobody acts on yet parses all the
// same.
func parsed(t *testing.T, args string) *Container {
	t.Helper()
	set := pflag.NewFlagSet("run", pflag.ContinueOnError)
	flags := ContainerFlags(set)
	if err := set.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	c := Defaults()
	if faults := flags.apply(containerTarget(&c, host())); len(faults) > 0 {
		t.Fatal(faults)
	}
	return &c
}

func TestHealth(t *testing.T) {
	c := parsed(t, "--health-cmd true --health-interval disable --health-timeout 5s --health-start-period 0s --health-retries 1 --health-on-failure restart "+
		"--health-log-destination logs --health-max-log-count 0 --health-max-log-size 9 "+
		"--health-startup-cmd [\"a\",\"b\"] --health-startup-interval 2s --health-startup-timeout 1s --health-startup-retries 0 --health-startup-success 2")
	health := &HealthCheck{Test: []string{"CMD-SHELL", "true"}, Interval: ptr(time.Duration(0)), Timeout: ptr(5 * time.Second), StartPeriod: ptr(time.Duration(0)), Retries: ptr(uint(1))}
	startup := &HealthCheck{Test: []string{"CMD", "a", "b"}, Interval: ptr(2 * time.Second), Timeout: ptr(time.Second), Retries: ptr(uint(0)), Successes: ptr(uint(2))}
	if !reflect.DeepEqual(c.Health, health) || !reflect.DeepEqual(c.StartupHealth, startup) || c.OnUnhealthy != "restart" ||
		!reflect.DeepEqual(c.HealthLog, HealthLog{Destination: "/srv/logs", Count: ptr(uint(0)), Size: ptr(uint(9))}) {
		t.Errorf("%+v, %+v, %s, %+v", c.Health, c.StartupHealth, c.OnUnhealthy, c.HealthLog)
	}
	if c := parsed(t, "--health-on-failure none --health-log-destination events_logger"); c.OnUnhealthy != "" || c.HealthLog.Destination != "events_logger" || c.Health != nil {
		t.Errorf("%+v", c)
	}
	if c := parsed(t, "--healthcheck-command true --healthcheck-interval 1s --healthcheck-retries 2 --healthcheck-start-period 3s --healthcheck-timeout 4s"); !reflect.DeepEqual(c.Health,
		&HealthCheck{Test: []string{"CMD-SHELL", "true"}, Interval: ptr(time.Second), Retries: ptr(uint(2)), StartPeriod: ptr(3 * time.Second), Timeout: ptr(4 * time.Second)}) {
		t.Errorf("by their first names: %+v", c.Health)
	}
	c, err := parseContainer("--no-healthcheck", "x")
	if err != nil || !c.Health.None() {
		t.Errorf("%+v, %v", c.Health, err)
	}
	for args, want := range map[string]string{
		"--no-healthcheck --health-cmd true x":          "exclude each other",
		"--no-healthcheck --health-startup-cmd true x":  "exclude each other",
		"--health-cmd true --health-retries 0 x":        "--health-retries must be 1 or more",
		"--health-cmd true --health-timeout 0s x":       "--health-timeout must be more than 0",
		"--health-cmd none --health-on-failure kill x":  "--health-on-failure kill needs a health check",
		"--health-cmd none --sdnotify healthy x":        "--sdnotify healthy needs a health check",
		"--health-interval 5 x":                         `"5" is not a duration; expected a duration with its unit, or disable, such as --health-interval 1m`,
		"--health-timeout disable x":                    "is not a duration",
		"--health-on-failure reboot x":                  "expected none, kill, restart or stop",
		"--health-retries -1 x":                         "is not a number",
		"--health-cmd none --health-startup-cmd true x": "needs a health check that follows it",
		"--health-cmd CMD x":                            "no command follows CMD",
	} {
		if _, err := parseContainer(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", args, err, want)
		}
	}
}
