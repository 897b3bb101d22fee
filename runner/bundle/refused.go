// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"slices"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-tools/generate"
	"github.com/podunit/podunit/runner/spec"
)

// Refused lists what Build, or a start, would refuse of a container whatever its image is: kernel
// parameters that are the host's, groups that cannot be kept, mounts that the kernel maps for root
// only, and resource limits above those in limits, which are the runner's own by their short names.
// Nil limits are not judged.
func Refused(c *spec.Container, rootless bool, limits map[string]Rlimit) []error {
	var out []error
	try := func(change func(*spec.Container), step func(*builder) error) {
		one := *c
		change(&one)
		b := &builder{Input: Input{Spec: &one, Config: defaults(), Rootless: rootless, Host: Host{Rlimits: limits}, Namespaces: asked(c)}}
		b.g = generate.NewFromSpec(&rspec.Spec{Process: &rspec.Process{}, Linux: &rspec.Linux{}})
		if one.IDMapping.Said() && one.UserNS.Mode != spec.UserHost {
			b.UIDMap = []spec.IDRange{{Size: 1}} // it will have a user namespace of its own
		}
		if err := step(b); err != nil {
			out = append(out, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Sysctls)) {
		try(func(one *spec.Container) { one.Sysctls = map[string]string{name: c.Sysctls[name]} }, (*builder).sysctls)
	}
	if c.KeepGroups {
		try(func(*spec.Container) {}, (*builder).keepGroups)
	}
	if rootless && c.AppArmor != "" {
		try(func(*spec.Container) {}, (*builder).labels)
	}
	if len(c.DeviceRules) > 0 {
		try(func(*spec.Container) {}, (*builder).deviceRules)
	}
	mounts := slices.Clone(c.Mounts)
	if c.Rootfs != nil {
		mounts = append(mounts, c.Rootfs.Mount())
	}
	for _, m := range mounts {
		if err := CheckIDMap(m, rootless, c.IDMapping.Said() && c.UserNS.Mode != spec.UserHost); err != nil {
			out = append(out, err)
		}
	}
	for _, u := range c.Ulimits {
		try(func(one *spec.Container) { one.Ulimits = []spec.Ulimit{u} }, (*builder).rlimits)
	}
	return out
}

// CheckIDMap says why the option idmap of a mount cannot be, or nothing. nested says that the
// container has a user namespace of its own. Source: mount_setattr(2), MOUNT_ATTR_IDMAP.
func CheckIDMap(m spec.Mount, rootless, nested bool) error {
	switch {
	case !m.IDMap:
	case rootless:
		return fmt.Errorf("mount on %s: option idmap: the kernel maps a mount for root only; give the source to the container's user with the option U, or keep your own ID with UserNS=keep-id", m.Destination)
	case !nested && (len(m.UIDMap) == 0 || len(m.GIDMap) == 0 || slices.ContainsFunc(slices.Concat(m.UIDMap, m.GIDMap), func(ids spec.MountIDs) bool { return ids.Inside })):
		return fmt.Errorf("mount on %s: option idmap: it maps to the container's user namespace, and the container has none of its own; set UserNS=, give uids= and gids= of the machine, or leave it out", m.Destination)
	}
	return nil
}

// MountMap is what a mount maps the IDs of its file system to, in our own user namespace: own where
// it has mappings, else those of the container's user namespace, which are container.
func MountMap(own []spec.MountIDs, container []spec.IDRange) ([]spec.IDRange, error) {
	if len(own) == 0 {
		return container, nil
	}
	var out []spec.IDRange
	for _, ids := range own {
		if !ids.Inside {
			out = append(out, spec.IDRange{Container: ids.FS, Host: ids.To, Size: ids.Size})
			continue
		}
		missing := ids.Size
		for _, r := range container {
			from, to := max(ids.To, r.Container), min(uint64(ids.To)+uint64(ids.Size), uint64(r.Container)+uint64(r.Size))
			if uint64(from) >= to {
				continue
			}
			n := uint32(to - uint64(from))
			out = append(out, spec.IDRange{Container: ids.FS + from - ids.To, Host: r.Host + from - r.Container, Size: n})
			missing -= n
		}
		if missing > 0 {
			return nil, fmt.Errorf("idmap: the user namespace of the container has not all IDs from %d to %d", ids.To, ids.To+ids.Size-1)
		}
	}
	return out, nil
}

// asked is which of the host's namespaces a container shares.
func asked(c *spec.Container) Namespaces {
	var n Namespaces
	if len(c.Networks) > 0 && c.Networks[0].Mode == spec.NetHost {
		n.Net = HostNS
	}
	if c.IPCNS.Mode == "host" {
		n.IPC = HostNS
	}
	if c.UTSNS.Mode == "host" {
		n.UTS = HostNS
	}
	return n
}
