// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	"github.com/podunit/podunit/runner/rootless"
)

// TestLoginName goes by the user ID, whatever sudo(8) left in the environment; the environment knows
// users of a directory, who are not in /etc/passwd.
func TestLoginName(t *testing.T) {
	for uid, want := range map[int]string{0: "root", 1<<31 - 3: "carol"} {
		e := &Env{User: rootless.Identity{UID: uid}, Lookup: func(name string) (string, bool) { return "carol", name == "USER" }}
		if got := e.LoginName(); got != want {
			t.Errorf("%d: %q, want %q", uid, got, want)
		}
	}
}
