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
