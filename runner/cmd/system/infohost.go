// SPDX-License-Identifier: Apache-2.0

package system

import (
	"bufio"
	"cmp"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/podunit/podunit/runner/cgroup"
	"github.com/podunit/podunit/runner/cli"
	"github.com/podunit/podunit/runner/network"
	"github.com/podunit/podunit/runner/service"
	"go.podman.io/storage/pkg/system"
	"golang.org/x/sys/unix"
)

// storeOf describes the storage.
func storeOf(x *service.Engine) storeInfo {
	s := x.Containers.Store
	info := storeInfo{
		GraphRoot: s.GraphRoot(), RunRoot: s.RunRoot(), Driver: s.GraphDriverName(), GraphDriverName: s.GraphDriverName(),
		GraphOptions: s.GraphOptions(), VolumePath: filepath.Join(s.GraphRoot(), "volumes"), RunDir: x.Containers.RunDir, GraphStatus: map[string]string{},
		ImageCopyTmpDir: cmp.Or(os.Getenv("TMPDIR"), "/var/tmp"),
	}
	if info.GraphOptions == nil {
		info.GraphOptions = []string{}
	}
	if status, err := s.Status(); err == nil {
		for _, pair := range status {
			info.GraphStatus[pair[0]] = pair[1]
		}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(s.GraphRoot(), &st); err == nil {
		info.GraphRootAllocated = st.Blocks * uint64(st.Bsize)
		info.GraphRootUsed = (st.Blocks - st.Bfree) * uint64(st.Bsize)
	}
	return info
}

// count counts what there is in the storage.
func count(x *service.Engine, info *storeInfo) error {
	images, err := x.Containers.Store.Images()
	if err != nil {
		return err
	}
	info.Images, info.ImageStore.Number = len(images), len(images)
	containers, err := x.Containers.List()
	if err != nil {
		return err
	}
	info.Containers = len(containers)
	c := containerCount{Number: len(containers)}
	for _, r := range containers {
		s, err := x.Containers.Status(r.ID)
		switch {
		case err != nil || s.PID == 0:
			c.Stopped++
		case cgroup.Frozen(s.Cgroup):
			c.Paused++
			info.Running++
		default:
			c.Running++
			info.Running++
		}
	}
	info.ContainerStore = c
	return nil
}

// more adds what scripts ask podman for.
func (h *hostInfo) more(e *cli.Env) {
	h.CgroupManager, h.EventLogger, h.LogDriver, h.RootlessNet = "systemd", "journald", "journald", "pasta"
	h.CgroupsVersion = map[bool]string{true: "v2", false: "v1"}[h.Cgroup2]
	h.FirstPort = 1
	if e.User.Rootless() {
		h.FirstPort = network.FirstPort("/proc")
	}
	h.Distribution = distributionOf("/etc/os-release")
	h.IDMappings = idMappings{UIDMap: ranges(h.UIDMap, e.User.Rootless()), GIDMap: ranges(h.GIDMap, e.User.Rootless())}
	if m, err := system.ReadMemInfo(); err == nil {
		h.MemFree, h.MemTotal, h.SwapFree, h.SwapTotal = m.MemFree, m.MemTotal, m.SwapFree, m.SwapTotal
	}
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		h.CPUUtilization = cpuUseOf(string(b))
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		h.Uptime = units.HumanDuration(time.Duration(info.Uptime) * time.Second)
	}
}

// cpuUseOf reads the first line of /proc/stat: the time spent for users, nice ones, the system, and
// idle. Source: proc_stat(5).
func cpuUseOf(stat string) cpuUse {
	first, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(first)
	if len(f) < 5 || f[0] != "cpu" {
		return cpuUse{}
	}
	var n [4]float64
	for i := range n {
		n[i], _ = strconv.ParseFloat(f[i+1], 64) // the kernel writes numbers
	}
	all := n[0] + n[1] + n[2] + n[3]
	if all == 0 {
		return cpuUse{}
	}
	percent := func(part float64) float64 { return math.Round(part/all*10000) / 100 }
	return cpuUse{User: percent(n[0] + n[1]), System: percent(n[2]), Idle: percent(n[3])}
}

// configFile is the file in which a user would say where the storage is.
func configFile(e *cli.Env) string {
	if path, ok := e.Lookup("CONTAINERS_STORAGE_CONF"); ok {
		return path
	}
	if !e.User.Rootless() {
		return "/etc/containers/storage.conf"
	}
	home, _ := e.Lookup("HOME")
	config, _ := e.Lookup("XDG_CONFIG_HOME")
	return filepath.Join(cmp.Or(config, filepath.Join(home, ".config")), "containers", "storage.conf")
}

// distributionOf reads os-release(5).
func distributionOf(path string) distribution {
	f, err := os.Open(path)
	if err != nil {
		return distribution{Distribution: "unknown", Version: "unknown"}
	}
	defer f.Close()
	values := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			values[name] = strings.Trim(value, `"'`)
		}
	}
	return distribution{
		Codename: values["VERSION_CODENAME"], Distribution: cmp.Or(values["ID"], "unknown"),
		Variant: values["VARIANT_ID"], Version: cmp.Or(values["VERSION_ID"], "unknown"),
	}
}

// ranges reads a map of IDs. Root's is that of the machine, of which podman shows none.
func ranges(lines []string, rootless bool) []idRange {
	out := []idRange{}
	if !rootless {
		return nil
	}
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		var n [3]int
		for i := range n {
			n[i], _ = strconv.Atoi(f[i]) // the kernel writes numbers
		}
		out = append(out, idRange{n[0], n[1], n[2]})
	}
	return out
}
