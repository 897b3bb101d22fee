// SPDX-License-Identifier: Apache-2.0

package view

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
	"golang.org/x/sys/unix"
)

// Stat is a row of stats; the names of fields are podman's, and so are the texts.
type Stat struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	UpTime   string `json:"cpu_time"` // the processor's time
	CPUPerc  string `json:"cpu_percent"`
	AVGCPU   string `json:"avg_cpu"`
	MemUsage string `json:"mem_usage"`
	MemPerc  string `json:"mem_percent"`
	NetIO    string `json:"net_io"`
	BlockIO  string `json:"block_io"`
	PIDS     string `json:"pids"`
	Pod      string `json:"-"` // the beginning of its ID
	CID      string `json:"-"`

	MemUsageBytes string `json:"-"`
	ContainerID   string `json:"-"`

	cgroup string // path below /sys/fs/cgroup; empty of one that does not run
}

// CPUPressure is for how much of the last ten seconds some process of the container waited for a
// processor; -- if the kernel does not tell.
func (s Stat) CPUPressure() string { return s.pressure("cpu") }

// MemPressure is the same of memory.
func (s Stat) MemPressure() string { return s.pressure("memory") }

// IOPressure is the same of disks.
func (s Stat) IOPressure() string { return s.pressure("io") }

// pressure reads a file only where a template asks for it.
func (s Stat) pressure(kind string) string {
	if s.cgroup == "" {
		return "--"
	}
	share, err := cgroup.Pressure(s.cgroup, kind)
	if err != nil {
		return "--"
	}
	return fmt.Sprintf("%.2f%%", share)
}

// PodStat is a row of the stats of pods in JSON, which has other names there.
type PodStat struct {
	Pod, CID, Name, CPU, MemUsage, MemUsageBytes, Mem, NetIO, BlockIO, PIDS string
}

// PodStats are rows of stats as those of pods.
func PodStats(rows []Stat) []PodStat {
	all := []PodStat{}
	for _, r := range rows {
		all = append(all, PodStat{
			Pod: r.Pod, CID: r.CID, Name: r.Name, CPU: r.CPUPerc, MemUsage: r.MemUsage, MemUsageBytes: r.MemUsageBytes,
			Mem: r.MemPerc, NetIO: r.NetIO, BlockIO: r.BlockIO, PIDS: r.PIDS,
		})
	}
	return all
}

// Sample is what a container had used at a time.
type Sample struct {
	record         container.Record
	at, started    time.Time
	used           cgroup.Usage
	received, sent uint64 // bytes, of all devices but the loopback
	machine        uint64 // bytes of memory that there are
	cgroup         string // path below /sys/fs/cgroup
}

// A Measurer measures many containers, again and again. What it has read of the machine and of
// cgroups that many share counts for all of a round, and what it has opened of a container is open
// in the next round.
type Measurer struct {
	engine  *service.Engine
	survey  *cgroup.Survey
	machine uint64
	// now are the containers that this round has looked at, before those that only the last one has.
	now, before map[string]watched
	most        int // containers whose files stay open
	text        []byte
}

// watched is a container that runs.
type watched struct {
	started time.Time
	cgroup  string
	proc    int // directory of its first process
	meter   *cgroup.Meter
}

func (w watched) close() {
	unix.Close(w.proc)
	w.meter.Close()
}

// NewMeasurer makes one, for the caller to close. With again there is more than one round.
func NewMeasurer(x *service.Engine, again bool) *Measurer {
	a := &Measurer{engine: x, survey: cgroup.NewSurvey(), now: map[string]watched{}, text: make([]byte, 8<<10)}
	var files unix.Rlimit
	if again && unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		a.most = int(min(files.Cur/2, 1<<16)) / (cgroup.Descriptors + 1)
	}
	return a
}

// Close closes what is open.
func (a *Measurer) Close() {
	a.Begin()
	a.Begin()
}

// Begin begins a round.
func (a *Measurer) Begin() {
	for _, w := range a.before {
		w.close()
	}
	a.now, a.before = map[string]watched{}, a.now
	a.machine = memTotal()
	a.survey.Begin()
}

// Measure reads what a container has used since its start. False is of one that does not run.
func (a *Measurer) Measure(r container.Record) (Sample, bool, error) {
	if w, known := a.before[r.ID]; known {
		delete(a.before, r.ID)
		if m, alive, err := a.sample(r, w); alive && err == nil {
			a.now[r.ID] = w
			return m, true, nil
		}
		w.close() // it has ended, and may run again
	}
	s, err := a.engine.Containers.Status(r.ID)
	if err != nil || s.PID == 0 {
		return Sample{}, false, err
	}
	m, err := a.first(r, s)
	if err == nil {
		return m, true, nil
	}
	if now, serr := a.engine.Containers.Status(r.ID); serr == nil && now.PID == 0 {
		return Sample{}, false, nil // it has ended just now
	}
	return Sample{}, false, fmt.Errorf("container %s: %w", r.Name, err)
}

// first takes the numbers of a container that is not watched yet.
func (a *Measurer) first(r container.Record, s container.Status) (Sample, error) {
	w := watched{started: s.StartedAt, cgroup: s.Cgroup}
	var err error
	if w.meter, err = a.survey.Open(s.Cgroup); err != nil {
		return Sample{}, err
	}
	w.proc, err = unix.Open(fmt.Sprintf("/proc/%d", s.PID), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		w.meter.Close()
		return Sample{}, err
	}
	m, alive, err := a.sample(r, w)
	if alive && err == nil && len(a.now)+len(a.before) < a.most {
		a.now[r.ID] = w
	} else {
		w.close()
	}
	return m, err
}

// sample takes the numbers of a container. It is an error if its cgroup is gone; alive is whether
// its first process tells of its network.
func (a *Measurer) sample(r container.Record, w watched) (m Sample, alive bool, err error) {
	m = Sample{record: r, at: time.Now(), started: w.started, machine: a.machine, cgroup: w.cgroup}
	if m.used, err = a.survey.Usage(w.meter); err != nil {
		return m, false, err
	}
	devices, err := a.read(w.proc, "net/dev")
	m.received, m.sent = traffic(devices)
	return m, err == nil, nil
}

// read reads a file of a process. What it returns is good until the next read.
func (a *Measurer) read(proc int, name string) ([]byte, error) {
	fd, err := unix.Openat(proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for all := 0; ; {
		n, err := unix.Read(fd, a.text[all:])
		if err != nil || n == 0 {
			return a.text[:all], err
		}
		if all += n; all == len(a.text) {
			a.text = append(a.text, make([]byte, all)...)
		}
	}
}

// Row draws a sample. The share of a processor is that since the sample before it, or since the
// container's start where that is the zero value or of another start.
func (m Sample) Row(before Sample, short bool) Stat {
	sinceStart := percent(m.used.CPU, m.at.Sub(m.started))
	row := Stat{
		ID: m.record.ID, Name: m.record.Name, UpTime: m.used.CPU.String(), CPUPerc: sinceStart, AVGCPU: sinceStart,
		NetIO: both(m.received, m.sent), BlockIO: both(m.used.Read, m.used.Written), PIDS: "--", Pod: m.record.PodID,
		ContainerID: m.record.ID, cgroup: m.cgroup,
	}
	if before.started.Equal(m.started) {
		row.CPUPerc = percent(m.used.CPU-before.used.CPU, m.at.Sub(before.at))
	}
	limit := m.machine
	if m.used.MemoryLimit > 0 {
		limit = min(limit, m.used.MemoryLimit)
	}
	row.MemUsage, row.MemPerc = both(m.used.Memory, limit), "0.00%"
	row.MemUsageBytes = units.BytesSize(float64(m.used.Memory)) + " / " + units.BytesSize(float64(limit))
	if limit > 0 {
		row.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(m.used.Memory)/float64(limit))
	}
	if m.used.PIDs > 0 {
		row.PIDS = strconv.FormatUint(m.used.PIDs, 10)
	}
	return row.named(short)
}

// Idle is the row of a container that does not run.
func Idle(r container.Record, short bool) Stat {
	const none, share = "-- / --", "0.00%"
	row := Stat{
		ID: r.ID, Name: r.Name, UpTime: "0s", CPUPerc: share, AVGCPU: share, MemUsage: none, MemPerc: share, NetIO: none, BlockIO: none, PIDS: "0",
		Pod: r.PodID, ContainerID: r.ID, MemUsageBytes: none,
	}
	return row.named(short)
}

// named gives a row its IDs, short or whole.
func (s Stat) named(short bool) Stat {
	if short {
		s.ID, s.Pod = s.ID[:min(12, len(s.ID))], s.Pod[:min(12, len(s.Pod))]
	}
	s.CID = s.ID
	return s
}

func percent(part, whole time.Duration) string {
	if whole <= 0 {
		return "0.00%"
	}
	return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(whole))
}

// both draws two numbers of bytes.
func both(a, b uint64) string {
	if a == 0 && b == 0 {
		return "-- / --"
	}
	return units.HumanSize(float64(a)) + " / " + units.HumanSize(float64(b))
}

// traffic adds up what /proc/PID/net/dev says. Source: proc_pid_net(5).
func traffic(text []byte) (received, sent uint64) {
	for line := range bytes.Lines(text) {
		device, numbers, ok := bytes.Cut(line, []byte(":"))
		if !ok || string(bytes.TrimSpace(device)) == "lo" {
			continue
		}
		f := bytes.Fields(numbers)
		if len(f) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(string(f[0]), 10, 64) // the kernel writes numbers
		out, _ := strconv.ParseUint(string(f[8]), 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}

// memTotal is the machine's memory in bytes; 0 where the kernel does not tell.
func memTotal() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, _ := strconv.ParseUint(strings.Fields(rest + " 0")[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
