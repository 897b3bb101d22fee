// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/podunit/podunit/runner/spec"
)

// left names what somebody asked for and no document can hold, by the flags of run.
type left struct {
	// field is the field of spec.Container, with that of an embedded struct.
	field string
	flag  string
}

// leftOut is the table of what is left out. Together with written it names every field of a
// container.
func leftOut() []left {
	return []left{
		{"Timezone", "--tz"}, {"Umask", "--umask"}, {"UnsetEnv", "--unsetenv"}, {"UnsetEnvAll", "--unsetenv-all"}, {"InitPath", "--init-path"},
		{"ImageVolumes", "--image-volume"}, {"Systemd", "--systemd"}, {"HealthLog", "--health-log-destination"}, {"CgroupNS", "--cgroupns"},
		{"Log", "--log-driver"}, {"Passwd", "--passwd"}, {"CIDFile", "--cidfile"}, {"PIDFile", "--pidfile"}, {"MainPIDFile", "--conmon-pidfile"},
		{"UTSNS", "--uts"}, {"ReadOnlyTmpfs", "--read-only-tmpfs"},
		{"Mask", "--security-opt mask"}, {"ProcOpts", "--security-opt proc-opts"},
		{"MemorySwap", "--memory-swap"}, {"MemorySwappiness", "--memory-swappiness"}, {"OOMKillDisable", "--oom-kill-disable"}, {"OOMScoreAdj", "--oom-score-adj"},
		{"CPURTRuntime", "--cpu-rt-runtime"}, {"CPURTPeriod", "--cpu-rt-period"}, {"BlkioWeight", "--blkio-weight"}, {"BlkioWeightDevice", "--blkio-weight-device"},
		{"DeviceReadBPS", "--device-read-bps"}, {"DeviceWriteBPS", "--device-write-bps"}, {"DeviceReadIOPS", "--device-read-iops"}, {"DeviceWriteIOPS", "--device-write-iops"},
		{"CgroupConf", "--cgroup-conf"}, {"ShmSize", "--shm-size"}, {"HostUlimits", "--ulimit host"},
		{"PublishAll", "--publish-all"}, {"Expose", "--expose"}, {"NoHosts", "--no-hosts"}, {"NoHostname", "--no-hostname"}, {"HostsFile", "--hosts-file"},
		{"IP", "--ip"}, {"IP6", "--ip6"}, {"MAC", "--mac-address"}, {"Aliases", "--network-alias"}, {"PreserveFDs", "--preserve-fds"}, {"MaxRun", "--timeout"}, {"RemoveImage", "--rmi"}, {"PreserveFD", "--preserve-fd"},
	}
}

// written are the fields of a container that a document holds, or that say nothing about what runs.
func written() []string {
	return []string{
		"Name", "Image", "Rootfs", "Command", "Entrypoint", "Env", "User", "Groups", "OnlyGroups", "KeepGroups", "WorkDir", "MakeWorkDir", "StopSignal", "StopTimeout", "Labels", "Annotations",
		"ReadOnly", "Init", "Mounts", "VolumesFrom", "Devices", "DeviceRules", "Secrets", "Health", "StartupHealth", "OnUnhealthy", "Interactive", "TTY", "Restart", "Pull", "Remove",
		"PIDNS", "IPCNS", "Privileged", "CapAdd", "CapDrop", "AppArmor", "Seccomp", "NoNewPrivileges", "SELinux", "Unmask", "Sysctls",
		"Memory", "MemoryReservation", "CPUs", "CPUShares", "CPUQuota", "CPUPeriod", "CpusetCPUs", "CpusetMems", "PidsLimit", "Ulimits",
		"Networks", "Publish", "Hostname", "FullName", "AddHosts", "DNS", "DNSSearch", "DNSOptions", "OwnDNS", "UserNS", "UIDMap", "GIDMap", "SubUIDName", "SubGIDName",
		// how the command itself behaves
		"Replace", "Detach", "Attach", "SigProxy", "Cgroups", "SdNotify", "Pod", "NewPod", "Warnings",
	}
}

// leave notes what is left out of a container.
func (g *generator) leave(s *spec.Container) {
	def := spec.Defaults()
	own, plain := reflect.ValueOf(s).Elem(), reflect.ValueOf(&def).Elem()
	var flags []string
	for _, l := range leftOut() {
		v, w := own.FieldByName(l.field), plain.FieldByName(l.field)
		if !reflect.DeepEqual(v.Interface(), w.Interface()) && !(v.Kind() == reflect.Slice && v.Len() == 0) && !(v.Kind() == reflect.Map && v.Len() == 0) {
			flags = append(flags, l.flag)
		}
	}
	if len(flags) > 0 {
		g.note("%s of container %s: Kubernetes has nothing like it, and it is left out", strings.Join(flags, ", "), s.Name)
	}
	for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
		if old, ok := g.ann[k]; (ok && old != s.Annotations[k]) || !labelKey(k) {
			g.note("the annotation %s of container %s is left out", k, s.Name)
			continue
		}
		g.ann[k] = s.Annotations[k]
	}
}
