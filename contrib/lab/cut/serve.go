// SPDX-License-Identifier: Apache-2.0

package cut

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// orders are what Serve is told in the file "at" of a directory, a line such as "3 kube ended": it
// kills the programs with these words on their command lines before the third call of theirs. An
// empty file is no order. The file "calls" there gets a line for each call that has counted since.
type orders struct {
	dir   string
	text  string
	time  time.Time // of the file: an order may come twice
	words string
}

// Serve answers the kernel for the process pid, which is about to become Child, and for all that it
// starts: a manager and its units. It returns when nobody is left, or if it fails.
func Serve(ours string, pid int, dir string) error {
	listener, err := listenerOf(pid)
	if err != nil {
		return err
	}
	w := watcher{ours: ours, listener: listener, orders: &orders{dir: dir}}
	for {
		if more, err := w.next(); err != nil || !more {
			return err
		}
	}
}

// ordered looks for a new order, and says whether a thread's calls are among those that it means.
func (w *watcher) ordered(thread uint32) bool {
	o, now := w.orders, orders{dir: w.orders.dir}
	if text, err := os.ReadFile(filepath.Join(o.dir, "at")); err == nil { // no file is no order
		now.text = string(text)
	}
	if info, err := os.Stat(filepath.Join(o.dir, "at")); err == nil {
		now.time = info.ModTime()
	}
	if now.text != o.text || !now.time.Equal(o.time) {
		*o, w.last, w.Result, w.at = now, "", Result{}, 0
		if n, _ := fmt.Sscan(o.text, &w.at); n == 1 {
			_, words, _ := strings.Cut(o.text, " ")
			o.words = strings.TrimSpace(words)
		}
	}
	if o.words == "" || w.Killed {
		return false
	}
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", thread))
	return err == nil && strings.Contains(strings.ReplaceAll(string(words), "\x00", " "), " "+o.words+" ")
}

// tell writes down which calls have counted.
func (w *watcher) tell() {
	if w.orders != nil {
		_ = os.WriteFile(filepath.Join(w.orders.dir, "calls"), []byte(strings.Join(append(w.Calls, ""), "\n")), 0o644) // who reads it misses it
	}
}
