// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docker/go-units"
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
	"golang.org/x/sys/unix"
)

// manyFiles is the default of nofile and nproc, as with podman: 2^20, which
// systemd also gives to the kernel as the most that can be asked for.
const manyFiles = 1 << 20

// rlimitNumbers are the resources by their short names; see getrlimit(2).
func rlimitNumbers() map[string]int {
	return map[string]int{
		"core": unix.RLIMIT_CORE, "cpu": unix.RLIMIT_CPU, "data": unix.RLIMIT_DATA, "fsize": unix.RLIMIT_FSIZE,
		"locks": unix.RLIMIT_LOCKS, "memlock": unix.RLIMIT_MEMLOCK, "msgqueue": unix.RLIMIT_MSGQUEUE, "nice": unix.RLIMIT_NICE,
		"nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "rss": unix.RLIMIT_RSS, "rtprio": unix.RLIMIT_RTPRIO,
		"rttime": unix.RLIMIT_RTTIME, "sigpending": unix.RLIMIT_SIGPENDING, "stack": unix.RLIMIT_STACK,
	}
}

// rlimits sets resource limits. Without the right to raise a hard limit, a
// default is then cut to what there is, one that was asked for is an error.
func (b *builder) rlimits() error {
	if b.Spec.HostUlimits {
		return nil // those of this process are inherited
	}
	limits := map[string]Rlimit{}
	for _, name := range []string{"nofile", "nproc"} {
		limits[name] = Rlimit{Soft: manyFiles, Hard: manyFiles}
	}
	for _, l := range b.Config.DefaultUlimits.Get() {
		u, err := units.ParseUlimit(l)
		if err != nil {
			return fmt.Errorf("default_ulimits of containers.conf: %w", err)
		}
		limits[u.Name] = rlimit(spec.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	fixed := b.Rootless || !slices.Contains(b.Host.Capabilities, "CAP_SYS_RESOURCE")
	if fixed {
		for name, l := range limits {
			own, ok := b.Host.Rlimits[name]
			if !ok {
				continue
			}
			limits[name] = Rlimit{Soft: min(l.Soft, own.Hard), Hard: min(l.Hard, own.Hard)}
		}
	}
	for _, u := range b.Spec.Ulimits {
		l := rlimit(u)
		if own, ok := b.Host.Rlimits[u.Name]; ok && fixed && l.Hard > own.Hard {
			return fmt.Errorf("--ulimit %s=%d: without the right to raise it, it cannot be more than %d; set Limit%s= in the [Service] section of the unit",
				u.Name, u.Hard, own.Hard, strings.ToUpper(u.Name))
		}
		limits[u.Name] = l
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		b.g.Config.Process.Rlimits = append(b.g.Config.Process.Rlimits, rspec.POSIXRlimit{
			Type: "RLIMIT_" + strings.ToUpper(name), Soft: limits[name].Soft, Hard: limits[name].Hard,
		})
	}
	return nil
}

// rlimit turns -1, no limit, into the kernel's word for it.
func rlimit(u spec.Ulimit) Rlimit { return Rlimit{Soft: uint64(u.Soft), Hard: uint64(u.Hard)} }

// WithinOwn cuts limits to the hard ones of this process, for a command in a container that was
// started where they are higher: a user has no right to raise a hard limit.
func WithinOwn(limits []rspec.POSIXRlimit) []rspec.POSIXRlimit {
	out := slices.Clone(limits)
	numbers := rlimitNumbers()
	for i, l := range out {
		number, ok := numbers[strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_"))]
		var own unix.Rlimit
		if ok && unix.Getrlimit(number, &own) == nil {
			out[i].Soft, out[i].Hard = min(l.Soft, own.Max), min(l.Hard, own.Max)
		}
	}
	return out
}
