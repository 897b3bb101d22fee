// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// begun is what runtimes keep of a container. Source: libcontainer's BaseState for runc; for crun,
// libcrun's status.c.
type begun struct {
	PID     int       `json:"init_process_pid"`
	Ticks   uint64    `json:"init_process_start"`
	Created time.Time `json:"created"`
	// Those of crun.
	CrunPID   int    `json:"pid"`
	CrunTicks uint64 `json:"process-start-time"`
}

// Begun is what the runtime itself knows of a container whose command it has executed: the first
// process, when that started (field 22 of /proc/PID/stat) and when the container was made. The PID
// is 0 where there is none, and of a container that waits at its gate.
func (r Runtime) Begun(id string) (pid int, ticks uint64, created time.Time) {
	if _, err := os.Lstat(filepath.Join(r.Root, id, fifoName)); !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, time.Time{}
	}
	for _, name := range []string{stateName, "status"} {
		b, err := os.ReadFile(filepath.Join(r.Root, id, name))
		if err != nil {
			continue
		}
		var s begun
		if json.Unmarshal(b, &s) != nil {
			continue
		}
		if s.PID == 0 {
			s.PID, s.Ticks = s.CrunPID, s.CrunTicks
		}
		return s.PID, s.Ticks, s.Created
	}
	return 0, 0, time.Time{}
}
