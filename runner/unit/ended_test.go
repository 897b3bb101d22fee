// SPDX-License-Identifier: Apache-2.0

package unit

import "testing"

func TestEnded(t *testing.T) {
	for _, c := range []struct {
		name      string
		raw       map[string]any
		pid, code int
	}{
		{"it runs", map[string]any{"ExecMainPID": uint32(7), "ExecMainCode": int32(0), "ExecMainStatus": int32(0)}, 0, 0},
		{"it exited", map[string]any{"ExecMainPID": uint32(7), "ExecMainCode": int32(1), "ExecMainStatus": int32(3)}, 7, 3},
		{"it was killed", map[string]any{"ExecMainPID": uint32(7), "ExecMainCode": int32(2), "ExecMainStatus": int32(9)}, 7, 137},
		{"it dumped core", map[string]any{"ExecMainPID": uint32(7), "ExecMainCode": int32(3), "ExecMainStatus": int32(11)}, 7, 139},
		{"no service", map[string]any{}, 0, 0},
	} {
		if pid, code := ended(c.raw); pid != c.pid || code != c.code {
			t.Errorf("%s: process %d, code %d", c.name, pid, code)
		}
	}
}
