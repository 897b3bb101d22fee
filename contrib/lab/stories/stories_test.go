// SPDX-License-Identifier: Apache-2.0

//go:build lab

// Package stories shows in booted machines what podunit promises to its user: each test is what
// somebody does, and what they then see.
package stories

import (
	"fmt"
	"testing"
	"time"

	"github.com/podunit/podunit/contrib/lab/labtest"
)

// TestLabStories is all that one machine can tell without being switched off.
func TestLabStories(t *testing.T) {
	l := labtest.Boot(t, labtest.Options{})
	// What Debian has. The lab has no limit of its own.
	l.MustRun("root", "printf '[Journal]\nRateLimitIntervalSec=30s\nRateLimitBurst=10000\n' >/etc/systemd/journald.conf.d/limit.conf; systemctl restart systemd-journald")
	for _, s := range []struct {
		name string
		tell func(*testing.T, *labtest.Lab)
	}{
		{"a pod of three services", mediaPod},
		{"how a container ends is how its unit ends", endings},
		{"what containers say is in the journal", journal},
		{"a container on a terminal", terminal},
		{"the same files in the system manager", systemManager},
		{"containers and pods made by hand", byHand},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.tell(t, l.For(t))
		})
	}
}

// quadlet writes a user's file and returns the name of its unit.
func quadlet(l *labtest.Lab, user, name, text string) {
	dir := ".config/containers/systemd/"
	if user == "root" {
		dir = "/etc/containers/systemd/"
	}
	l.WriteFile(user, dir+name, text)
}

// newUser adds a user who lingers, so that what belongs to nobody else can be looked for.
func newUser(l *labtest.Lab, name string) {
	l.MustRun("root", fmt.Sprintf(`useradd --create-home --shell /bin/bash %[1]s && grep -q ^%[1]s: /etc/subuid && loginctl enable-linger %[1]s`, name))
	l.Eventually(name, "systemctl --user is-system-running", time.Minute)
}

// property of a user's unit.
func property(l *labtest.Lab, user, unit, name string) string {
	mode := "--user"
	if user == "root" {
		mode = "--system"
	}
	return l.MustRun(user, fmt.Sprintf("systemctl %s show -P %s %s", mode, name, unit))
}

// nothingLeft fails the test unless, within a minute, there is nothing of the user's containers
// but what runs.
func nothingLeft(t *testing.T, l *labtest.Lab, user string) {
	t.Helper()
	l.For(t).NothingLeft(user, time.Minute)
}
