// SPDX-License-Identifier: Apache-2.0

// Package cgroup divides a unit's cgroup, and asks and ends what is in a container's. It knows
// the kernel's files and nothing of units or containers: a cgroup is a path relative to the
// mount of the cgroup v2 hierarchy, as runc takes it. Source: cgroups(7) and the kernel's
// Documentation/admin-guide/cgroup-v2.rst.
package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A tree is where a cgroup v2 hierarchy is mounted.
type tree string

// machine is the hierarchy of the machine.
const machine tree = "/sys/fs/cgroup"

func (t tree) path(cgroup string) string { return filepath.Join(string(t), cgroup) }

// Supported returns a NoCgroup2Error if the machine was booted with the old hierarchies.
func Supported() error {
	var st unix.Statfs_t
	if err := unix.Statfs(string(machine), &st); err != nil {
		return fmt.Errorf("%s: %w", machine, err)
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return NoCgroup2Error{Path: string(machine)}
	}
	return nil
}

// NoCgroup2Error says that Path is no cgroup v2 hierarchy.
type NoCgroup2Error struct{ Path string }

func (e NoCgroup2Error) Error() string { return e.Path + " is not a cgroup v2 hierarchy" }

// Hint is the way out.
func (e NoCgroup2Error) Hint() string {
	return "boot with systemd.unified_cgroup_hierarchy=1, the default since Debian 11"
}

// Path is the directory of a cgroup.
func Path(cgroup string) string { return machine.path(cgroup) }

// Thaw lets the processes of a paused cgroup run again. A cgroup that is not there, or not
// ours, is no error; nor is an empty name, of a container without a cgroup.
func Thaw(cgroup string) error { return machine.thaw(cgroup) }

func (t tree) thaw(cgroup string) error {
	if cgroup == "" {
		return nil
	}
	err := os.WriteFile(filepath.Join(t.path(cgroup), "cgroup.freeze"), []byte("0"), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

// Frozen reports whether the processes of a cgroup are paused.
func Frozen(cgroup string) bool {
	if cgroup == "" {
		return false
	}
	b, err := os.ReadFile(filepath.Join(machine.path(cgroup), "cgroup.freeze"))
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// OOMKilled reports whether the kernel has killed a process of a cgroup, or of one below it,
// for want of memory. A runtime that has waited for the container's end removes the container's
// cgroup: then the one above, the unit's, is asked. Source: cgroup-v2.rst, memory.events.
func OOMKilled(cgroup string) bool { return cgroup != "" && machine.oomKilled(cgroup) }

func (t tree) oomKilled(cgroup string) bool {
	dir := t.path(cgroup)
	b, err := os.ReadFile(filepath.Join(dir, "memory.events"))
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(filepath.Dir(dir), "memory.events"))
	}
	if err != nil {
		return false // there is no memory controller
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return n != "0"
		}
	}
	return false
}

// Controllers are those that can be used in a cgroup. Source: cgroups(7), cgroup.controllers.
func Controllers(cgroup string) ([]string, error) {
	b, err := os.ReadFile(filepath.Join(machine.path(cgroup), "cgroup.controllers"))
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}

// LimitsSwap reports whether a cgroup that is yet to be made can have a limit on its swap: the
// cgroup above it tells.
func LimitsSwap(cgroup string) bool {
	if cgroup == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(filepath.Dir(machine.path(cgroup)), "memory.swap.max"))
	return err == nil
}

// Kill sends SIGKILL to all processes of a cgroup and of those below it. The kernel can since
// Linux 5.14; before that it does nothing, and systemd kills what is left when the unit has ended.
// That the cgroup is gone is no error, nor is an empty name.
func Kill(cgroup string) error {
	if cgroup == "" {
		return nil
	}
	if err := machine.kill(cgroup); !missing(err) {
		return err
	}
	return nil
}

func (t tree) kill(cgroup string) error {
	return os.WriteFile(filepath.Join(t.path(cgroup), "cgroup.kill"), []byte("1"), 0)
}

// missing tells whether the kernel said that there is no such cgroup, or no such file in it.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// Clear kills whatever is in a cgroup and below it, and removes all of them, the deepest first:
// a container may have made cgroups of its own. It returns an error if something has not died
// of SIGKILL when ctx ends or wait has passed. That the cgroup is gone is no error, nor is an
// empty name.
func Clear(ctx context.Context, cgroup string, wait time.Duration) error {
	return machine.clear(ctx, cgroup, wait)
}

func (t tree) clear(ctx context.Context, cgroup string, wait time.Duration) error {
	if cgroup == "" {
		return nil
	}
	dir := t.path(cgroup)
	for deadline := time.Now().Add(wait); ; time.Sleep(2 * time.Millisecond) {
		err := removeTree(dir)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("cgroup %s: %w", cgroup, err)
		case ctx.Err() != nil || time.Now().After(deadline):
			return fmt.Errorf("cgroup %s: its processes do not die of SIGKILL", cgroup)
		}
		if missing(t.kill(cgroup)) {
			return nil // gone, or a kernel that cannot: systemd does it when the unit has ended
		}
	}
}

// Remove removes a cgroup without processes, and those below it. The error is unix.EBUSY if one has
// some. That the cgroup is gone is no error.
func Remove(cgroup string) error { return removeTree(machine.path(cgroup)) }

// removeTree removes the directories of cgroups, deepest first. The files in them are the
// kernel's and cannot be removed.
func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	entries, rerr := os.ReadDir(dir)
	if rerr != nil {
		return rerr
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

// livePIDs lists the processes of a cgroup and of those below it.
func livePIDs(dir string) ([]int, error) {
	var all []int
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		pids, err := readPIDs(p)
		all = append(all, pids...)
		return err
	})
	return all, err
}

func readPIDs(dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, nil // removed meanwhile
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, f := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
