// SPDX-License-Identifier: Apache-2.0

package runc

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/podunit/podunit/runner/process"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// endWait is how long a runtime may take to tidy up when it is given up. After that it is killed,
// and with it the process that it has made for a container or an exec.
const endWait = 5 * time.Second

// giveUp asks the runtime to end. A runtime that is cut short leaves half a container; it tidies
// up first, unless it hangs.
func giveUp(cmd *exec.Cmd) error {
	killLate(cmd, func() bool { return false })
	return cmd.Process.Signal(unix.SIGTERM)
}

// killLate kills the runtime and its children after endWait, if it has not ended by then, and spare
// does not say that it goes on; then it asks again after the same time.
func killLate(cmd *exec.Cmd, spare func() bool) {
	time.AfterFunc(endWait, func() {
		if spare() {
			if cmd.Process.Signal(unix.Signal(0)) == nil {
				killLate(cmd, spare)
			}
			return
		}
		for _, p := range children(cmd.Process) {
			_ = p.Signal(unix.SIGKILL) // it may have ended
			p.Close()
		}
		_ = cmd.Process.Kill() // likewise
	})
}

// children are those of a child of ours, which the caller closes. There is none if it has been
// waited for. Source: proc(5), /proc/PID/task/TID/children.
func children(parent *os.Process) []*process.Process {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", parent.Pid))
	if err != nil {
		return nil // it has ended
	}
	var all []*process.Process
	for _, task := range tasks {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent.Pid, task.Name()))
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(list)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				continue
			}
			if p, err := process.Open(pid, 0); err == nil && p != nil {
				all = append(all, p)
			}
		}
	}
	// As long as nobody has waited for the parent, its number is no other process's.
	if parent.Signal(unix.Signal(0)) == nil {
		return all
	}
	for _, p := range all {
		p.Close()
	}
	return nil
}

// passSignals hands the signals that end us to the runtime, which passes them on, until stop is
// called; those that came before pass, then. Ctrl-C on a terminal goes to the whole process group:
// the runtime has it already.
func passSignals() (pass func(runtime *os.Process), stop func()) {
	wanted := []os.Signal{unix.SIGTERM, unix.SIGHUP}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		wanted = append(wanted, unix.SIGINT)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, wanted...)
	pass = func(runtime *os.Process) {
		go func() {
			for s := range signals {
				_ = runtime.Signal(s) // it may have ended
			}
		}()
	}
	return pass, func() {
		signal.Stop(signals)
		close(signals)
	}
}
