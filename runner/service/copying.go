// SPDX-License-Identifier: Apache-2.0

package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/notify"
	"golang.org/x/sys/unix"
)

// copyPause is how often a copy is looked at.
const copyPause = time.Second

// othersLooks is for how many looks what others write gives a start more time: a database that
// grows on the same disk must not keep the manager from its limit for good.
const othersLooks = int(30 * time.Minute / copyPause)

// copying does work in which the storage may copy an image: for a user namespace whose IDs no mount
// can map, once per image and mapping. A child of the storage writes it, or that of another start,
// for which this one then waits. Both take seconds to minutes, so the service manager is told of
// them and gives the start more time, as long as anything is written. What others write may be no
// copy at all, so that counts for half an hour only.
func (e *Engine) copying(image string, work func() error) error {
	ended := make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		tick := time.NewTicker(copyPause)
		defer tick.Stop()
		var c copied
		said := false
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			ours, anybody := c.next(written(), blocks(e.Containers.Store.GraphRoot()))
			if ours && !said {
				said = true
				e.Log("copying " + image + " for its user namespace, once for this image and these IDs")
			}
			switch {
			case !e.Notify.Present():
			case ours:
				// If a message is lost, the next comes in a second.
				_ = e.Notify.Send(notify.Status(fmt.Sprintf("copying %s for its user namespace: %s", image, units.HumanSize(float64(c.written)))), notify.ExtendTimeout(startWindow))
			case anybody:
				_ = e.Notify.Send(notify.Status("waiting for the storage, in which another start copies an image"), notify.ExtendTimeout(startWindow))
			}
		}
	})
	defer teller.Wait()
	defer close(ended)
	return work()
}

// copied is how far a copy was at the last look.
type copied struct {
	written uint64 // bytes by our children
	used    uint64 // blocks of the file system in use, zero before the first look
	looks   int
}

// next notes what a look has shown, and tells what is going on: whether our children have written
// more, and whether anybody has, which is of interest in the first othersLooks looks.
func (c *copied) next(written, used uint64) (ours, anybody bool) {
	c.looks++
	ours, anybody = written > c.written, c.used > 0 && used > c.used && c.looks <= othersLooks
	c.written, c.used = max(written, c.written), used
	return ours, anybody
}

// written is how many bytes our children have written in all. Source: proc_pid_io(5), write_bytes.
func written() (sum uint64) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		pids, _ := os.ReadFile(list) // a thread may have ended
		for pid := range strings.FieldsSeq(string(pids)) {
			text, _ := os.ReadFile("/proc/" + pid + "/io")
			for line := range strings.Lines(string(text)) {
				if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
					bytes, _ := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
					sum += bytes
				}
			}
		}
	}
	return sum
}

// blocks is how many blocks of its file system are in use.
func blocks(dir string) uint64 {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return 0
	}
	return s.Blocks - s.Bfree
}
