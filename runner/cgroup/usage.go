// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
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

// A Survey measures many cgroups, again and again.
type Survey struct {
	tree tree
	// limits are the limits of memory, in bytes, 0 for none, of cgroups that many are below: one
	// look in a round is for all.
	limits map[string]uint64
	text   []byte // what was read last
}

// NewSurvey makes one of the machine's cgroups.
func NewSurvey() *Survey { return machine.survey() }

func (t tree) survey() *Survey {
	return &Survey{tree: t, limits: map[string]uint64{}, text: make([]byte, 8<<10)}
}

// Begin begins a round: limits may have changed since the last one.
func (s *Survey) Begin() { clear(s.limits) }

// A Meter is a cgroup of a survey. It keeps the kernel's files open: each read from the beginning
// gives the numbers of that moment, and to find the files again costs more than to read them.
type Meter struct {
	cgroup string
	dir    int // the cgroup's directory
	files  [lastFile]int
}

// The files of a meter. A file that is missing may be there in the next round: systemd turns
// controllers on when a unit wants them.
const (
	cpuStat = iota
	memoryCurrent
	memoryMax
	memoryMaxAbove
	pidsCurrent
	ioStat
	lastFile
)

var fileNames = [lastFile]string{"cpu.stat", "memory.current", "memory.max", "../memory.max", "pids.current", "io.stat"}

// Descriptors is how many files a meter has open at most.
const Descriptors = lastFile + 1

// Open opens the meter of a cgroup, for the caller to close. An empty name is ErrNoCgroup, and one
// that is gone is an error, too.
func (s *Survey) Open(cgroup string) (*Meter, error) {
	if cgroup == "" {
		return nil, ErrNoCgroup
	}
	m := &Meter{cgroup: filepath.Clean(cgroup)}
	for i := range m.files {
		m.files[i] = -1
	}
	path := s.tree.path(cgroup)
	var err error
	if m.dir, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return m, nil
}

// Close closes its files.
func (m *Meter) Close() {
	for _, fd := range append(m.files[:], m.dir) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Usage reads what the processes of a cgroup use now. It is an error if the cgroup is gone.
// Source: cgroup-v2.rst, cpu.stat, memory.current, memory.max, pids.current and io.stat.
func (s *Survey) Usage(m *Meter) (Usage, error) {
	cpu, err := s.read(m, cpuStat)
	if err != nil {
		return Usage{}, err
	}
	u := Usage{CPU: time.Duration(keyed(cpu, "usage_usec")) * time.Microsecond}
	u.Memory = s.number(m, memoryCurrent)
	if u.PIDs = s.number(m, pidsCurrent); u.PIDs == 0 {
		u.PIDs = s.processes(m)
	}
	u.MemoryLimit = lower(s.number(m, memoryMax), lower(s.number(m, memoryMaxAbove), s.limit(filepath.Dir(filepath.Dir(m.cgroup)))))
	io, err := s.read(m, ioStat)
	if err != nil {
		return u, nil //nolint:nilerr // there is no such controller
	}
	for field := range bytes.FieldsSeq(io) {
		name, value, _ := bytes.Cut(field, []byte("="))
		n, _ := strconv.ParseUint(string(value), 10, 64) // a device, or what is not a number, is no sum
		switch string(name) {
		case "rbytes":
			u.Read += n
		case "wbytes":
			u.Written += n
		}
	}
	return u, nil
}

// read reads a file of a meter as it is now. What it returns is good until the next read.
func (s *Survey) read(m *Meter, file int) ([]byte, error) {
	if m.files[file] < 0 {
		fd, err := unix.Openat(m.dir, fileNames[file], unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: s.tree.path(m.cgroup) + "/" + fileNames[file], Err: err}
		}
		m.files[file] = fd
	}
	for {
		n, err := unix.Pread(m.files[file], s.text, 0)
		switch {
		case err != nil:
			return nil, &os.PathError{Op: "read", Path: s.tree.path(m.cgroup) + "/" + fileNames[file], Err: err}
		case n < len(s.text): // the kernel writes all of such a file at once
			return s.text[:n], nil
		}
		s.text = make([]byte, 2*len(s.text))
	}
}

// processes counts the processes of a cgroup and of those below it.
func (s *Survey) processes(m *Meter) uint64 {
	pids, _ := livePIDs(s.tree.path(m.cgroup)) // none, if they are gone by now
	return uint64(len(pids))
}

// limit is the lowest limit of memory of a cgroup and those above it.
func (s *Survey) limit(cgroup string) uint64 {
	if cgroup == "/" || cgroup == "." {
		return 0
	}
	if known, ok := s.limits[cgroup]; ok {
		return known
	}
	text, err := os.ReadFile(filepath.Join(s.tree.path(cgroup), "memory.max"))
	if err != nil {
		text = nil
	}
	lowest := lower(number(text), s.limit(filepath.Dir(cgroup)))
	s.limits[cgroup] = lowest
	return lowest
}

// lower is the lower of two limits, of which 0 is none.
func lower(a, b uint64) uint64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// number reads a file with one number in it; 0 if there is none, or it says "max".
func (s *Survey) number(m *Meter, file int) uint64 {
	text, err := s.read(m, file)
	if err != nil {
		return 0
	}
	return number(text)
}

func number(text []byte) uint64 {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// keyed is the number after a name in lines of NAME NUMBER; 0 if it is not there.
func keyed(text []byte, name string) uint64 {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			return number(value)
		}
	}
	return 0
}
