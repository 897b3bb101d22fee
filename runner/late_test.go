// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/podunit/podunit/runner/slack"
)

// tellSlack says the slack of the timers of each thread of this process.
func tellSlack() {
	out, _ := exec.Command("sh", "-c", "cat /proc/self/timerslack_ns").Output() // what it executes inherits it
	fmt.Printf("%s", out)
	entries, _ := os.ReadDir("/proc/self/task") // a thread that has ended says nothing
	for _, e := range entries {
		text, _ := os.ReadFile("/proc/" + e.Name() + "/timerslack_ns")
		fmt.Printf("%s", text)
	}
}

// TestOnlyStopsAreLate: what a service executes at its end is woken late, in all its threads, and
// what it executes as well; whatever else podunit does is not, and so nothing that stays.
func TestOnlyStopsAreLate(t *testing.T) {
	own, err := slack.Own()
	if err != nil {
		t.Fatal(err)
	}
	const atEnd = "SERVICE_RESULT=success"
	for _, c := range []struct {
		line, env string
		late      bool
	}{
		{"rm -v -f web", atEnd, true},
		{"--module=a.conf rm -v -f web", atEnd, true},
		{"pod stop --ignore --time=10 web", atEnd, true},
		{"pod rm --ignore --force web", atEnd, true},
		{"rm -v -f web", "", false},
		{"pod stop web", "", false},
		{"run --rm image", atEnd, false},
		{"run --name rm image", atEnd, false},
		{"pod start rm", atEnd, false},
		{"pod create rm", atEnd, false},
		{"start rm", atEnd, false},
		{"exec web rm", atEnd, false},
		{"pod", atEnd, false},
		{"", atEnd, false},
	} {
		cmd := exec.Command(os.Args[0], strings.Fields(c.line)...)
		cmd.Env = append(os.Environ(), c.env, wentOn+"=1")
		out, _ := cmd.Output() // its status is wentOnStatus
		want := own
		if c.late {
			want = slack.Late
		}
		lines := strings.Fields(string(out))
		for _, line := range lines {
			if line != fmt.Sprint(want.Nanoseconds()) {
				t.Errorf("%s %s: timers are late by %q ns, want %v", c.env, c.line, lines, want)
				break
			}
		}
		if len(lines) == 0 || os.Geteuid() == 0 && len(lines) < 3 { // only root reads those of other threads
			t.Errorf("%s %s: only %q", c.env, c.line, out)
		}
	}
}
