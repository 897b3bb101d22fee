// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// resources sets the limits of the container's cgroup. A limit whose controller
// is not there is left out, with a warning if it was asked for: so it is with
// podman, and a container is better off without a limit than not running.
func (b *builder) resources() error {
	l := b.g.Config.Linux
	l.CgroupsPath = b.Cgroup.Path
	r := l.Resources
	if r == nil {
		r = &rspec.LinuxResources{}
	}
	b.pidsLimit(r)
	b.memoryLimits(r)
	b.cpuLimits(r)
	if err := b.blockLimits(r); err != nil {
		return err
	}
	b.cgroupFiles(r)
	if r.Pids != nil || r.Memory != nil || r.CPU != nil || r.BlockIO != nil || r.Unified != nil || r.Devices != nil {
		l.Resources = r
	}
	return nil
}

// missing warns that flags have no effect for want of a controller.
func (b *builder) missing(controller string, flags ...string) {
	for _, f := range flags {
		if b.Cgroup.Path == "" {
			b.warn("--%s has no effect: the container has no cgroup of its own", f)
		} else {
			b.warn("--%s has no effect: the cgroup has no %s controller; is it delegated? see Delegate= in systemd.resource-control(5)", f, controller)
		}
	}
}

// wanted reports whether limits were asked for that the controller is there for; it warns if they
// were and it is not.
func (b *builder) wanted(controller string, flags map[string]bool) bool {
	asked := given(flags)
	if len(asked) > 0 && !b.Cgroup.has(controller) {
		b.missing(controller, asked...)
		return false
	}
	return len(asked) > 0
}

func (b *builder) pidsLimit(r *rspec.LinuxResources) {
	pids := b.Spec.PidsLimit
	if !b.Cgroup.has("pids") {
		if pids != nil && *pids > 0 {
			b.missing("pids", "pids-limit")
		}
		return
	}
	if pids == nil && b.Config.PidsLimit != 0 {
		pids = &b.Config.PidsLimit
	}
	if pids != nil && *pids > 0 {
		limit := *pids
		r.Pids = &rspec.LinuxPids{Limit: &limit}
	}
}

func (b *builder) memoryLimits(r *rspec.LinuxResources) {
	s := &b.Spec.Limits
	if !b.wanted("memory", map[string]bool{
		"memory": s.Memory != nil, "memory-swap": s.MemorySwap != nil, "memory-reservation": s.MemoryReservation != nil,
		"memory-swappiness": s.MemorySwappiness != nil, "oom-kill-disable": s.OOMKillDisable,
	}) {
		return
	}
	m := &rspec.LinuxMemory{Limit: s.Memory, Reservation: s.MemoryReservation, Swappiness: s.MemorySwappiness}
	switch {
	case s.MemorySwap != nil && b.Cgroup.Swap:
		m.Swap = s.MemorySwap
	case s.MemorySwap != nil && *s.MemorySwap != -1:
		b.warn("--memory-swap has no effect: this kernel does not account for swap")
	case s.Memory != nil && *s.Memory > 0 && b.Cgroup.Swap:
		double := 2 * *s.Memory // podman-run(1), --memory-swap
		m.Swap = &double
	}
	if s.OOMKillDisable {
		on := true
		m.DisableOOMKiller = &on
	}
	r.Memory = m
}

func (b *builder) cpuLimits(r *rspec.LinuxResources) {
	s := &b.Spec.Limits
	var cpu rspec.LinuxCPU
	if b.wanted("cpu", map[string]bool{
		"cpus": s.CPUs != nil, "cpu-shares": s.CPUShares != nil, "cpu-quota": s.CPUQuota != nil, "cpu-period": s.CPUPeriod != nil,
		"cpu-rt-runtime": s.CPURTRuntime != nil, "cpu-rt-period": s.CPURTPeriod != nil,
	}) {
		cpu.Shares, cpu.RealtimeRuntime, cpu.RealtimePeriod = s.CPUShares, s.CPURTRuntime, s.CPURTPeriod
		cpu.Quota, cpu.Period = s.CPUQuota, s.CPUPeriod
		if s.CPUs != nil {
			period := uint64(100_000) // microseconds
			quota := int64(*s.CPUs * float64(period))
			cpu.Quota, cpu.Period = &quota, &period
		}
	}
	if b.wanted("cpuset", map[string]bool{"cpuset-cpus": s.CpusetCPUs != "", "cpuset-mems": s.CpusetMems != ""}) {
		cpu.Cpus, cpu.Mems = s.CpusetCPUs, s.CpusetMems
	}
	if cpu != (rspec.LinuxCPU{}) {
		r.CPU = &cpu
	}
}

func (b *builder) blockLimits(r *rspec.LinuxResources) error {
	s := &b.Spec.Limits
	if !b.wanted("io", map[string]bool{
		"blkio-weight": s.BlkioWeight != nil, "blkio-weight-device": len(s.BlkioWeightDevice) > 0,
		"device-read-bps": len(s.DeviceReadBPS) > 0, "device-write-bps": len(s.DeviceWriteBPS) > 0,
		"device-read-iops": len(s.DeviceReadIOPS) > 0, "device-write-iops": len(s.DeviceWriteIOPS) > 0,
	}) {
		return nil
	}
	io, err := blockIO(s)
	r.BlockIO = io
	return err
}

// cgroupFiles sets what is written to files of the cgroup as it stands.
func (b *builder) cgroupFiles(r *rspec.LinuxResources) {
	unified := map[string]string{}
	for _, kv := range b.Config.CgroupConf.Get() {
		name, value := cut(kv)
		unified[name] = value
	}
	maps.Copy(unified, b.Spec.CgroupConf)
	switch {
	case len(unified) == 0:
	case b.Cgroup.Path == "":
		b.missing("", "cgroup-conf")
	default:
		r.Unified = unified
	}
}

// given lists the flags that are set, sorted.
func given(flags map[string]bool) []string {
	var set []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] {
			set = append(set, name)
		}
	}
	return set
}

func blockIO(s *spec.Limits) (*rspec.LinuxBlockIO, error) {
	io := &rspec.LinuxBlockIO{Weight: s.BlkioWeight}
	for _, w := range s.BlkioWeightDevice {
		major, minor, err := blockDevice(w.Path)
		if err != nil {
			return nil, fmt.Errorf("--blkio-weight-device %s: %w", w.Path, err)
		}
		weight := w.Weight
		d := rspec.LinuxWeightDevice{Weight: &weight}
		d.Major, d.Minor = major, minor
		io.WeightDevice = append(io.WeightDevice, d)
	}
	for _, t := range []struct {
		flag string
		from []spec.DeviceRate
		to   *[]rspec.LinuxThrottleDevice
	}{
		{"device-read-bps", s.DeviceReadBPS, &io.ThrottleReadBpsDevice}, {"device-write-bps", s.DeviceWriteBPS, &io.ThrottleWriteBpsDevice},
		{"device-read-iops", s.DeviceReadIOPS, &io.ThrottleReadIOPSDevice}, {"device-write-iops", s.DeviceWriteIOPS, &io.ThrottleWriteIOPSDevice},
	} {
		for _, r := range t.from {
			major, minor, err := blockDevice(r.Path)
			if err != nil {
				return nil, fmt.Errorf("--%s %s: %w", t.flag, r.Path, err)
			}
			d := rspec.LinuxThrottleDevice{Rate: r.Rate}
			d.Major, d.Minor = major, minor
			*t.to = append(*t.to, d)
		}
	}
	return io, nil
}

func blockDevice(p string) (major, minor int64, err error) {
	var st unix.Stat_t
	if err := unix.Stat(p, &st); err != nil {
		return 0, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, 0, fmt.Errorf("it is not a block device")
	}
	return int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev)), nil
}
