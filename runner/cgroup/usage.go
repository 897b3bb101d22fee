// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what the processes of a cgroup, and of those below it, use. What the kernel does not
// count there, for want of a controller, is 0.
type Usage struct {
	CPU         time.Duration // that they have run, on all processors together
	Memory      uint64        // bytes
	MemoryLimit uint64        // bytes: the lowest of the cgroup and those above it; 0 for none
	PIDs        uint64        // processes and threads
	// Read and Written are bytes from and to block devices.
	Read, Written uint64
}

// Limits are the limits of memory, in bytes, 0 for none, of cgroups that have been looked at: many are below the same ones.
type Limits map[string]uint64

// Used reads what the processes of a cgroup use. A cgroup that is gone, or an empty name, is an error. What it learns
// of limits it notes in seen, for who asks about many cgroups at the same time.
// Source: cgroup-v2.rst, cpu.stat, memory.current, memory.max, pids.current and io.stat.
func Used(cgroup string, seen Limits) (Usage, error) { return machine.used(cgroup, seen) }

func (t tree) used(cgroup string, seen Limits) (Usage, error) {
	if cgroup == "" {
		return Usage{}, ErrNoCgroup
	}
	dir := t.path(cgroup)
	cpu, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return Usage{}, err
	}
	u := Usage{
		CPU:    time.Duration(keyed(string(cpu), "usage_usec")) * time.Microsecond,
		Memory: number(filepath.Join(dir, "memory.current")),
		PIDs:   number(filepath.Join(dir, "pids.current")),
	}
	if u.PIDs == 0 {
		if pids, err := livePIDs(dir); err == nil {
			u.PIDs = uint64(len(pids))
		}
	}
	u.MemoryLimit = t.limit(filepath.Clean(cgroup), seen)
	io, err := os.ReadFile(filepath.Join(dir, "io.stat"))
	if err != nil {
		return u, nil //nolint:nilerr // there is no such controller
	}
	for field := range strings.FieldsSeq(string(io)) {
		name, value, _ := strings.Cut(field, "=")
		n, _ := strconv.ParseUint(value, 10, 64) // a device, or what is not a number, is no sum
		switch name {
		case "rbytes":
			u.Read += n
		case "wbytes":
			u.Written += n
		}
	}
	return u, nil
}

// limit is the lowest limit of memory of a cgroup and those above it.
func (t tree) limit(cgroup string, seen Limits) uint64 {
	if cgroup == "/" || cgroup == "." {
		return 0
	}
	if known, ok := seen[cgroup]; ok {
		return known
	}
	own, lowest := number(filepath.Join(t.path(cgroup), "memory.max")), t.limit(filepath.Dir(cgroup), seen)
	if own > 0 && (lowest == 0 || own < lowest) {
		lowest = own
	}
	seen[cgroup] = lowest
	return lowest
}

// number reads a file of the kernel's with one number in it; 0 if there is none, or it says "max".
func number(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// keyed is the number after a name in lines of NAME NUMBER; 0 if it is not there.
func keyed(text, name string) uint64 {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(value), 10, 64) // the kernel writes numbers
			return n
		}
	}
	return 0
}
