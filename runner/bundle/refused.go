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

// Refused lists what Build, or a start, would refuse of a container whatever its image is: kernel parameters that are the
// host's, groups that cannot be kept, mounts that the kernel maps for root only, and resource limits above those in limits, which are the runner's own by their short names.
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
	for _, m := range c.Mounts {
		if err := CheckIDMap(m, rootless, c.IDMapping.Said() && c.UserNS.Mode != spec.UserHost); err != nil {
			out = append(out, err)
		}
	}
	for _, u := range c.Ulimits {
		try(func(one *spec.Container) { one.Ulimits = []spec.Ulimit{u} }, (*builder).rlimits)
	}
	return out
}

// CheckIDMap says why the option idmap of a mount cannot be, or nothing. nested says that the container has a user
// namespace of its own. Source: mount_setattr(2), MOUNT_ATTR_IDMAP.
func CheckIDMap(m spec.Mount, rootless, nested bool) error {
	switch {
	case !m.IDMap:
	case rootless:
		return fmt.Errorf("mount on %s: option idmap: the kernel maps a mount for root only; give the source to the container's user with the option U, or keep your own ID with UserNS=keep-id", m.Destination)
	case !nested:
		return fmt.Errorf("mount on %s: option idmap: it maps to the container's user namespace, and the container has none of its own; set UserNS=, or leave it out", m.Destination)
	}
	return nil
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
