// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// Executed tells whether the service manager itself executed this process. Source: systemd.exec(5),
// $SYSTEMD_EXEC_PID, systemd 248.
func Executed(lookup func(string) (string, bool)) bool {
	pid, _ := lookup("SYSTEMD_EXEC_PID")
	return pid == strconv.Itoa(os.Getpid())
}

// expected are the moves to where we are already that have begun.
var expected sync.WaitGroup

// MovesBegun says that such a move had begun before us; await returns when it is over.
func MovesBegun(await func()) { expected.Go(await) }

// ExpectMoves makes the move of a process to another cgroup quick for the next few milliseconds: a move that changes
// nothing waits in the place of the one that matters, while other work is done. runner/rootless/moves.c tells why, and
// does the same at the beginning of a process.
func ExpectMoves() {
	expected.Go(func() {
		own, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			return
		}
		o, err := parseOwn(string(own))
		if err != nil {
			return
		}
		procs, err := os.OpenFile(filepath.Join(cgroupRoot, o.Cgroup, o.Sub, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			return // not ours to move anything in
		}
		defer procs.Close()
		_, _ = procs.WriteString("0") // it was worth a try
	})
}
