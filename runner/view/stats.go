// SPDX-License-Identifier: Apache-2.0

package view

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/container"
	"github.com/podunit/podunit/runner/service"
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
}

// A Measurer measures many containers at about the same time: what it has read of the machine and of cgroups that they share
// counts for all.
type Measurer struct {
	engine  *service.Engine
	machine uint64
	limits  cgroup.Limits
}

// NewMeasurer makes one, for one round.
func NewMeasurer(x *service.Engine) Measurer { return Measurer{x, memTotal(), cgroup.Limits{}} }

// Measure reads what a container has used since its start. False is of one that does not run.
func (a Measurer) Measure(r container.Record) (Sample, bool, error) {
	x := a.engine
	s, err := x.Containers.Status(r.ID)
	if err != nil || s.PID == 0 {
		return Sample{}, false, err
	}
	m := Sample{record: r, at: time.Now(), started: s.StartedAt, machine: a.machine}
	if m.used, err = cgroup.Used(s.Cgroup, a.limits); err != nil {
		if now, serr := x.Containers.Status(r.ID); serr == nil && now.PID == 0 {
			return Sample{}, false, nil // it has ended just now
		}
		return Sample{}, false, fmt.Errorf("container %s: %w", r.Name, err)
	}
	net, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", s.PID))
	if err == nil {
		m.received, m.sent = traffic(string(net))
	}
	return m, true, nil
}

// Row draws a sample. The share of a processor is that since the sample before it, or since the
// container's start where that is the zero value or of another start.
func (m Sample) Row(before Sample, short bool) Stat {
	sinceStart := percent(m.used.CPU, m.at.Sub(m.started))
	row := Stat{
		ID: m.record.ID, Name: m.record.Name, UpTime: m.used.CPU.String(), CPUPerc: sinceStart, AVGCPU: sinceStart,
		NetIO: both(m.received, m.sent), BlockIO: both(m.used.Read, m.used.Written), PIDS: "--", Pod: m.record.PodID,
		ContainerID: m.record.ID,
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
	if short {
		row.ID, row.Pod = row.ID[:12], row.Pod[:min(12, len(row.Pod))]
	}
	row.CID = row.ID
	return row
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
func traffic(text string) (received, sent uint64) {
	for line := range strings.Lines(text) {
		device, numbers, ok := strings.Cut(line, ":")
		f := strings.Fields(numbers)
		if !ok || strings.TrimSpace(device) == "lo" || len(f) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(f[0], 10, 64) // the kernel writes numbers
		out, _ := strconv.ParseUint(f[8], 10, 64)
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
