// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/safe"
	"go.podman.io/common/pkg/seccomp"
	"golang.org/x/sys/unix"
)

// maxProfile is the most bytes of a seccomp profile: the built-in one has 20 kB.
const maxProfile = 4 << 20

// seccomp sets the filter of system calls: a profile named on the command line,
// else that of containers.conf, else the ecosystem's built-in one.
func (b *builder) seccomp() error {
	file, asked := b.Spec.Seccomp, b.Spec.Seccomp != ""
	if !asked {
		if b.privileged() {
			return nil
		}
		file = b.Config.SeccompProfile
	}
	if file == "unconfined" {
		return nil
	}
	if !b.Host.Seccomp {
		if asked {
			return fmt.Errorf("--security-opt seccomp=%s: this kernel does not filter system calls", file)
		}
		return nil
	}
	var profile *seccomp.Seccomp
	builtIn, places := true, b.Host.SeccompProfiles
	if file != "" {
		places = []string{file}
	}
	for _, place := range places {
		data, err := safe.ReadLinked(place, maxProfile)
		if errors.Is(err, fs.ErrNotExist) && (file == "" || !asked && slices.Contains(b.Host.SeccompProfiles, place)) {
			continue // where a package may put one
		}
		if err != nil {
			if !asked {
				return fmt.Errorf("seccomp_profile of containers.conf: %w", err)
			}
			return fmt.Errorf("seccomp profile: %w", err)
		}
		file, profile, builtIn = place, &seccomp.Seccomp{}, !asked
		if err := json.Unmarshal(data, profile); err != nil {
			return fmt.Errorf("seccomp profile %s: %w", file, err)
		}
		break
	}
	if profile == nil {
		profile = seccomp.DefaultProfile()
	}
	filter, err := convert(profile, b.Host.Arch, b.g.Config.Process.Capabilities.Bounding)
	if err != nil {
		return fmt.Errorf("seccomp profile %s: %w", file, err)
	}
	if builtIn && filter != nil {
		// The ecosystem's profile also opens x32, which distributions switch off in
		// the kernel and no image uses. Without it the runtime needs a quarter less
		// time for the whole start, most of which goes into compiling the filter.
		filter.Architectures = slices.DeleteFunc(filter.Architectures, func(a rspec.Arch) bool { return a == rspec.ArchX32 })
	}
	b.g.Config.Linux.Seccomp = filter
	return nil
}

// arch is a machine by its name in profiles and its name in config.json.
// Source: seccomp_arch_resolve_name(3).
func arch(goarch string) (name string, token seccomp.Arch) {
	switch goarch {
	case "amd64":
		return "amd64", seccomp.ArchX86_64
	case "386":
		return "x86", seccomp.ArchX86
	case "arm64":
		return "arm64", seccomp.ArchAARCH64
	case "arm":
		return "arm", seccomp.ArchARM
	case "ppc64le":
		return "ppc64le", seccomp.ArchPPC64LE
	case "s390x":
		return "s390x", seccomp.ArchS390X
	case "riscv64":
		return "riscv64", "SCMP_ARCH_RISCV64"
	case "mips64le":
		return "mipsel64", seccomp.ArchMIPSEL64
	case "loong64":
		return "loongarch64", "SCMP_ARCH_LOONGARCH64"
	}
	return goarch, ""
}

// convert leaves the rules that hold for the machine and the capabilities. The
// ecosystem's own converter is only there where libseccomp is linked, which
// config.json does not need: the runtime compiles the filter.
func convert(p *seccomp.Seccomp, goarch string, caps []string) (*rspec.LinuxSeccomp, error) {
	if p.DefaultAction == "" && len(p.Syscalls) == 0 {
		return nil, nil
	}
	if len(p.Architectures) > 0 && len(p.ArchMap) > 0 {
		return nil, errors.New("it has both architectures and archMap, and may have only one")
	}
	name, token := arch(goarch)
	out := &rspec.LinuxSeccomp{
		DefaultAction: rspec.LinuxSeccompAction(p.DefaultAction),
		ListenerPath:  p.ListenerPath, ListenerMetadata: p.ListenerMetadata,
	}
	var err error
	if out.DefaultErrnoRet, err = errno(p.DefaultErrno, p.DefaultErrnoRet); err != nil {
		return nil, err
	}
	for _, f := range p.Flags {
		out.Flags = append(out.Flags, rspec.LinuxSeccompFlag(f))
	}
	for _, a := range p.Architectures {
		out.Architectures = append(out.Architectures, rspec.Arch(a))
	}
	for _, a := range p.ArchMap {
		if a.Arch == token {
			out.Architectures = append(out.Architectures, rspec.Arch(a.Arch))
			for _, sub := range a.SubArches {
				out.Architectures = append(out.Architectures, rspec.Arch(sub))
			}
		}
	}
	for _, call := range p.Syscalls {
		if !applies(call, name, caps) {
			continue
		}
		names := call.Names
		if call.Name != "" {
			if len(names) > 0 {
				return nil, errors.New("a rule has both name and names, and may have only one")
			}
			names = []string{call.Name}
		}
		if len(names) == 0 {
			continue
		}
		rule := rspec.LinuxSyscall{Names: names, Action: rspec.LinuxSeccompAction(call.Action)}
		if rule.ErrnoRet, err = errno(call.Errno, call.ErrnoRet); err != nil {
			return nil, err
		}
		for _, a := range call.Args {
			rule.Args = append(rule.Args, rspec.LinuxSeccompArg{
				Index: a.Index, Value: a.Value, ValueTwo: a.ValueTwo, Op: rspec.LinuxSeccompOperator(a.Op),
			})
		}
		out.Syscalls = append(out.Syscalls, rule)
	}
	return out, nil
}

// applies judges the includes and excludes of a rule.
func applies(call *seccomp.Syscall, arch string, caps []string) bool {
	if slices.Contains(call.Excludes.Arches, arch) {
		return false
	}
	if slices.ContainsFunc(call.Excludes.Caps, func(c string) bool { return slices.Contains(caps, c) }) {
		return false
	}
	if len(call.Includes.Arches) > 0 && !slices.Contains(call.Includes.Arches, arch) {
		return false
	}
	return !slices.ContainsFunc(call.Includes.Caps, func(c string) bool { return !slices.Contains(caps, c) })
}

// errno takes the name of an error, or a number, over the older bare number.
func errno(name string, number *uint) (*uint, error) {
	if name == "" {
		return number, nil
	}
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		u := uint(n)
		return &u, nil
	}
	// Linux has no errors beyond 133; see errno(3).
	for e := range uint(134) {
		if unix.ErrnoName(unix.Errno(e)) == name {
			return &e, nil
		}
	}
	return nil, fmt.Errorf("%q is not the name of an error", name)
}
