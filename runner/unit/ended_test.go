// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"context"
	"testing"
)

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

// Whoever asks how a service has ended does not have the manager tell everything about it.
func TestEndedAsksForFew(t *testing.T) {
	for _, c := range []struct {
		name      string
		service   map[string]any
		pid, code int
	}{
		{"it runs", map[string]any{"ExecMainCode": int32(0)}, 0, 0},
		{"it was killed", map[string]any{"ExecMainPID": uint32(7), "ExecMainCode": int32(2), "ExecMainStatus": int32(9), "MainPID": uint32(0)}, 7, 137},
		{"another one runs", map[string]any{"ExecMainPID": uint32(7), "ExecMainCode": int32(1), "ExecMainStatus": int32(3), "MainPID": uint32(8)}, 0, 0},
	} {
		f := &fake{service: c.service}
		pid, code, err := (&Manager{conn: f}).Ended(context.Background(), "a.service")
		if err != nil || pid != c.pid || code != c.code {
			t.Errorf("%s: process %d, code %d, %v", c.name, pid, code, err)
		}
		if f.looked != 0 {
			t.Errorf("%s: it asked for everything", c.name)
		}
	}
	if _, _, err := (&Manager{conn: &fake{}}).Ended(context.Background(), "a.service"); err == nil {
		t.Error("no error where the manager gives one")
	}
}
