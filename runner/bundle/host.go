// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"

	"go.podman.io/common/pkg/capabilities"
	"go.podman.io/common/pkg/config"
	"go.podman.io/storage/pkg/configfile"
	"golang.org/x/sys/unix"
)

// Host is what the machine and this process bring along.
type Host struct {
	// Arch is a GOARCH.
	Arch string
	// Capabilities is the bounding set.
	Capabilities []string
	// MaskedPaths and ReadOnlyPaths are hidden and kept from writing by default.
	MaskedPaths, ReadOnlyPaths []string
	// Rlimits are the limits of this process by their short names, such as nofile.
	Rlimits map[string]Rlimit
	// OOMScoreAdj is that of this process.
	OOMScoreAdj int
	// Groups are the supplementary groups of this process.
	Groups []uint32
	// UIDs and GIDs are the numbers of user and group IDs there are in the user
	// namespace of this process, counted from 0.
	UIDs, GIDs uint64
	// AppArmor and SELinux tell which of them the kernel enforces.
	AppArmor, SELinux bool
	// Seccomp tells whether the kernel filters system calls.
	Seccomp bool
	// SeccompProfiles are where the default filter may lie, the first that is there counts; the
	// ecosystem's built-in one is for when none is.
	SeccompProfiles []string
	// ZoneInfo is the time zone database, LocalTime the machine's own zone.
	ZoneInfo, LocalTime string
	// MountFlags gives those of nosuid, nodev and noexec that hold for a file of
	// the host; the error is that of stat. Inside a user namespace a bind mount
	// must keep them.
	MountFlags func(path string) ([]string, error)
}

// Rlimit is a soft and a hard resource limit.
type Rlimit struct {
	Soft, Hard uint64
}

// Probe asks the kernel. apparmor and selinux say whether they are enabled.
func Probe(apparmor, selinux bool) (Host, error) {
	h := Host{
		Arch: runtime.GOARCH, MaskedPaths: config.DefaultMaskedPaths(), ReadOnlyPaths: config.DefaultReadOnlyPaths,
		Rlimits: map[string]Rlimit{}, AppArmor: apparmor, SELinux: selinux,
		ZoneInfo: "/usr/share/zoneinfo", LocalTime: "/etc/localtime", MountFlags: mountFlags,
		SeccompProfiles: []string{config.SeccompOverridePath, config.SeccompDefaultPath},
	}
	var err error
	if h.Capabilities, err = capabilities.BoundingSet(); err != nil {
		return Host{}, err
	}
	for name, id := range rlimitNumbers() {
		var r unix.Rlimit
		if err := unix.Getrlimit(id, &r); err == nil {
			h.Rlimits[name] = Rlimit{Soft: r.Cur, Hard: r.Max}
		}
	}
	if data, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil {
		h.OOMScoreAdj, _ = strconv.Atoi(strings.TrimSpace(string(data))) // the kernel writes a number
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return Host{}, err
	}
	for _, g := range groups {
		h.Groups = append(h.Groups, uint32(g))
	}
	for file, to := range map[string]*uint64{"uid_map": &h.UIDs, "gid_map": &h.GIDs} {
		data, err := os.ReadFile("/proc/self/" + file)
		if err != nil {
			return Host{}, err
		}
		*to = mapped(data)
	}
	// The call names an action and asks whether the kernel knows it.
	_, _, errno := unix.Syscall(unix.SYS_PRCTL, unix.PR_GET_SECCOMP, 0, 0)
	h.Seccomp = errno != unix.EINVAL
	return h, nil
}

// mapped counts the IDs of a uid_map or gid_map that follow from 0 without a gap.
func mapped(data []byte) uint64 {
	var n uint64
	s := bufio.NewScanner(bytes.NewReader(data))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) != 3 {
			continue
		}
		from, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 64)
		if err1 == nil && err2 == nil && from == n {
			n += size
		}
	}
	return n
}

func mountFlags(path string) ([]string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return nil, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	var flags []string
	for _, f := range []struct {
		bit  int64
		name string
	}{{unix.ST_NOSUID, "nosuid"}, {unix.ST_NODEV, "nodev"}, {unix.ST_NOEXEC, "noexec"}} {
		if int64(st.Flags)&f.bit != 0 { //nolint:unconvert // 32 bits wide on some processors
			flags = append(flags, f.name)
		}
	}
	return flags, nil
}

// defaults are those of the containers ecosystem without any file read.
func defaults() *config.ContainersConfig {
	return &config.ContainersConfig{
		ApparmorProfile:     config.DefaultApparmorProfile,
		DefaultCapabilities: configfile.NewSlice(config.DefaultCapabilities),
		Env:                 configfile.NewSlice([]string{"PATH=" + defaultPath}),
		PidsLimit:           config.DefaultPidsLimit,
		ShmSize:             config.DefaultShmSize,
		Umask:               "0022",
	}
}

func cut(kv string) (name, value string) {
	name, value, _ = strings.Cut(kv, "=")
	return name, value
}
