// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"context"
	"errors"
	"os"
	"strings"
)

// A runc that is not executed from a sealed file copies itself into one, see seal, in the process
// that it makes for a container or an exec, and has that execute itself again. The kernel refuses
// the seals (EBUSY) if something else holds one of the pages for longer than 150 ms: on a busy
// machine, its own compaction of memory. Then the process ends before runc could tell it anything,
// "waiting for init preliminary setup", and runc gives up. In a loop of nothing else, with a
// compaction that goes on all the time and gets few of the processors, it is one in a thousand.
// Source: runc, initWaiter in libcontainer/process_linux.go, nsexec and ensure_cloned_binary in
// libcontainer/nsenter; Linux, memfd_wait_for_pins in mm/memfd.c.

// untoldTries is how often runc may fail to tell its process what to do.
const untoldTries = 3

// untilTold does the same again if runc failed so: the process had not joined the container nor
// got the command, and read nothing of the input. log is the path of the runtime's log.
func untilTold(ctx context.Context, log string, once func() error) error {
	for try := 1; ; try++ {
		err := once()
		if err == nil || try == untoldTries || ctx.Err() != nil || !strings.Contains(lastError(log), "waiting for init preliminary setup") {
			return err
		}
		if failed := os.Truncate(log, 0); failed != nil {
			return errors.Join(err, failed)
		}
	}
}
