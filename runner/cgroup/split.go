// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/safe"
	"golang.org/x/sys/unix"
)

// NotDelegatedError says that the unit may not divide its cgroup. The kernel
// tells: a user manager leaves no mark on what it delegates, systemd 257.
type NotDelegatedError struct {
	Cgroup string
	Err    error
}

func (e NotDelegatedError) Error() string {
	return fmt.Sprintf("divide cgroup %s: %v", e.Cgroup, e.Err)
}
func (e NotDelegatedError) Unwrap() error { return e.Err }

// Hint is the way out.
func (e NotDelegatedError) Hint() string {
	return "the unit needs Delegate=yes in its [Service] section"
}

// BusyError says that a cgroup still has processes.
type BusyError struct {
	Cgroup string
	PIDs   []int
}

func (e BusyError) Error() string {
	return fmt.Sprintf("cgroup %s still has processes: %v", e.Cgroup, e.PIDs)
}

// Names of the sub-cgroups of a divided unit.
const (
	runtimeCgroup = "runtime"  // the runner and the helpers it leaves
	controlCgroup = ".control" // where systemd runs ExecReload= and ExecStop= of a delegated unit
)

// A Payload is the part of a divided cgroup that is for a container.
type Payload struct {
	// Cgroup is relative to the mount, as runc takes it. Its directory is left for runc to make.
	Cgroup string
	// Controllers are those that it can have.
	Controllers []string
}

// Split divides the cgroup of a delegated unit: every process in it, this one included, moves to
// a cgroup "runtime" below it, the controllers are passed on, and the name payload is left to
// the container. Without controllers nothing is moved. A cgroup that passes controllers on can
// hold no process itself. Source: cgroups(7), no internal processes.
//
// What an earlier run left is removed. A BusyError says that the payload of an earlier run has
// processes; a NotDelegatedError, that the unit's cgroup is not ours to divide. To divide it
// again is harmless.
func Split(unitCgroup, payload string) (Payload, error) {
	if err := Supported(); err != nil {
		return Payload{}, err
	}
	return machine.split(unitCgroup, payload)
}

func (t tree) split(unitCgroup, payload string) (Payload, error) {
	dir := t.path(unitCgroup)
	run := filepath.Join(dir, runtimeCgroup)
	if err := os.Mkdir(run, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			return Payload{}, NotDelegatedError{Cgroup: unitCgroup, Err: err}
		}
		return Payload{}, fmt.Errorf("divide cgroup %s: %w", unitCgroup, err)
	}
	if err := t.tidy(unitCgroup, payload); err != nil {
		return Payload{}, err
	}
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return Payload{}, fmt.Errorf("divide cgroup %s: %w", unitCgroup, err)
	}
	split := Payload{Cgroup: path.Join(unitCgroup, payload)}
	if len(strings.Fields(string(available))) == 0 {
		// Nothing to pass on: processes may stay. A move costs milliseconds, as the
		// kernel waits for all processors.
		return split, nil
	}
	awaitQuickMoves() // or it would move us back
	if err := moveAll(dir, run); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return Payload{}, NotDelegatedError{Cgroup: unitCgroup, Err: err}
		}
		return Payload{}, fmt.Errorf("divide cgroup %s: %w", unitCgroup, err)
	}
	split.Controllers, err = passOn(dir, strings.Fields(string(available)))
	if err != nil {
		return Payload{}, fmt.Errorf("pass controllers of cgroup %s on: %w", unitCgroup, err)
	}
	return split, nil
}

// tidy removes the empty sub-cgroups of an earlier run.
func (t tree) tidy(unitCgroup, payload string) error {
	dir := t.path(unitCgroup)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == runtimeCgroup || e.Name() == controlCgroup {
			continue
		}
		sub := filepath.Join(dir, e.Name())
		if removeTree(sub) == nil || e.Name() != payload {
			continue
		}
		pids, err := livePIDs(sub)
		if err != nil {
			return err
		}
		return BusyError{Cgroup: path.Join(unitCgroup, payload), PIDs: pids}
	}
	return nil
}

// moveAll moves every process from one cgroup to another, also those that fork
// meanwhile.
func moveAll(from, to string) error {
	// A process that forks faster than it is moved would keep us here for ever.
	const rounds = 100
	procs := filepath.Join(to, "cgroup.procs")
	for range rounds {
		pids, err := readPIDs(from)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			if pid == 0 {
				return fmt.Errorf("%s has a process outside of this PID namespace", from)
			}
			err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0)
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return fmt.Errorf("%s does not run empty", from)
}

// passOn gives the cgroups below dir every controller that dir has, and returns
// those it could give. One that the kernel refuses (cpu, while there are real-time
// processes) does not hold the others back.
func passOn(dir string, available []string) ([]string, error) {
	control := filepath.Join(dir, "cgroup.subtree_control")
	if err := os.WriteFile(control, []byte("+"+strings.Join(available, " +")), 0); err == nil {
		return available, nil
	}
	var got []string
	for _, c := range available {
		if os.WriteFile(control, []byte("+"+c), 0) == nil {
			got = append(got, c)
		}
	}
	return got, nil
}

// Beside is the directory of the cgroup for what runs beside a payload, in the cgroup that Split has
// divided.
func Beside(payload string) string { return machine.beside(payload) }

func (t tree) beside(payload string) string {
	dir := filepath.Dir(t.path(payload))
	if run := filepath.Join(dir, runtimeCgroup); isDir(run) {
		return run
	}
	return dir
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// Processes are those of a cgroup and of the cgroups below it. That there is none of the name is no
// error.
func Processes(cgroup string) ([]int, error) { return livePIDs(machine.path(cgroup)) }

// Populated tells whether processes are in a cgroup or in one below it. In one that is not there are
// none.
func Populated(cgroup string) bool { return machine.populated(cgroup) }

func (t tree) populated(cgroup string) bool {
	events, err := safe.ReadSmall(filepath.Join(t.path(cgroup), "cgroup.events"))
	return err == nil && bytes.Contains(events, []byte("populated 1\n"))
}
