// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestBegun(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		files   map[string]string
		pid     int
		ticks   uint64
		created time.Time
	}{
		"of runc":     {map[string]string{"state.json": `{"id":"x","init_process_pid":77,"init_process_start":8899,"created":"2026-01-02T03:04:05Z"}`}, 77, 8899, made},
		"of crun":     {map[string]string{"status": `{"pid":77,"process-start-time":8899,"created":"2026-01-02T03:04:05.000000Z"}`}, 77, 8899, made},
		"at its gate": {map[string]string{"exec.fifo": "", "state.json": `{"init_process_pid":77,"init_process_start":8899}`}, 0, 0, time.Time{}},
		"cut":         {map[string]string{"state.json": `{"init_process_pid":77,`}, 0, 0, time.Time{}},
		"none":        {},
	} {
		t.Run(name, func(t *testing.T) {
			r := Runtime{Root: t.TempDir()}
			dir := filepath.Join(r.Root, "x")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if pid, ticks, created := r.Begun("x"); pid != c.pid || ticks != c.ticks || !created.Equal(c.created) {
				t.Errorf("%d, %d, %v", pid, ticks, created)
			}
		})
	}
}
