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

// expected is the move that ExpectMoves has begun.
var expected sync.WaitGroup

// ExpectMoves makes the move of a process to another cgroup quick for the next few milliseconds. The first one waits
// until every processor has seen that moves begin (an RCU grace period, 5 to 20 ms): a start waits when the runtime
// moves the container, and a stop when the manager executes what comes next. So we ask for a move that changes nothing
// right away, and the wait passes while other work is done. A system that mounts cgroup2 with favordynmods never
// waits. Source: Documentation/admin-guide/cgroup-v2.rst, favordynmods; kernel/rcu/sync.c.
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
