// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"strings"
	"testing"
)

// TestConfinement: what a sandbox of systemd takes away is not blamed on a package.
func TestConfinement(t *testing.T) {
	const free, all = "Name:\tpodunit\nNoNewPrivs:\t0\nSeccomp:\t0\n", "         0          0 4294967295\n"
	for _, c := range []struct{ name, status, uidMap, want string }{
		{"nothing", free, all, ""},
		{"no new privileges", "NoNewPrivs:\t1\n", all, "NoNewPrivileges="},
		{"systemd's user namespace", free, "         0          0          1\n      1000       1000          1\n", "PrivateUsers="},
		{"a container", free, "         0     100000      65536\n", ""},
		{"no mapping yet", free, "", ""},
	} {
		if got := confinement(c.status, c.uidMap); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestTheHintOfWhoIsConfined: whatever it is that fails first.
func TestTheHintOfWhoIsConfined(t *testing.T) {
	for _, p := range []Problem{NoRunDir, IDMapRefused, UserNSRefused, MountNSRefused} {
		i := Identity{UID: 1000, Problem: p, Detail: "not permitted"}
		if got := i.hint("PrivateUsers="); !strings.HasPrefix(got, "the [Service] section has PrivateUsers=") {
			t.Errorf("problem %d: %q", p, got)
		}
		if got := i.hint(""); strings.Contains(got, "[Service] section") {
			t.Errorf("problem %d of who is free: %q", p, got)
		}
	}
	i := Identity{UID: 1000, Problem: Filtered, Detail: "mount(2)"}
	if got := i.Error().Error() + i.hint(""); !strings.Contains(got, "mount(2)") || !strings.Contains(got, "SystemCallFilter=") {
		t.Errorf("%q", got)
	}
}

// TestTheHintOfAFullDirectory: another login does not help.
func TestTheHintOfAFullDirectory(t *testing.T) {
	i := Identity{UID: 1000, RunDir: "/run/user/1000", Problem: NoRunDir, Detail: "/run/user/1000/podunit/userns/7: No space left on device"}
	if got := i.hint(""); !strings.HasPrefix(got, "/run/user/1000, which is in memory, is full: du -xa /run/user/1000 ") {
		t.Errorf("%q", got)
	}
}

// TestTheMapBeforeOurs: where newuidmap has failed, our own namespace has no map.
func TestTheMapBeforeOurs(t *testing.T) {
	i := Identity{UID: 1000, Problem: IDMapRefused, Detail: "write to uid_map failed: Operation not permitted", outerMap: "      1000       1000          1\n"}
	if got := i.Hint(); !strings.Contains(got, "PrivateUsers=") && !strings.Contains(got, "NoNewPrivileges=") {
		t.Errorf("%q", got)
	}
}
