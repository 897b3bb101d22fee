// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"maps"
	"slices"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-tools/generate"
	"github.com/podunit/podunit/runner/spec"
)

// Refused lists what Build would refuse of a container whatever its image is: kernel parameters that are the host's,
// groups that cannot be kept, and resource limits above those in limits, which are the runner's own by their short names.
// Nil limits are not judged.
func Refused(c *spec.Container, rootless bool, limits map[string]Rlimit) []error {
	var out []error
	try := func(change func(*spec.Container), step func(*builder) error) {
		one := *c
		change(&one)
		b := &builder{Input: Input{Spec: &one, Config: defaults(), Rootless: rootless, Host: Host{Rlimits: limits}, Namespaces: asked(c)}}
		b.g = generate.NewFromSpec(&rspec.Spec{Process: &rspec.Process{}, Linux: &rspec.Linux{}})
		if one.UserNS.Mode != "" && one.UserNS.Mode != "host" || len(one.UIDMap) > 0 {
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
	for _, u := range c.Ulimits {
		try(func(one *spec.Container) { one.Ulimits = []spec.Ulimit{u} }, (*builder).rlimits)
	}
	return out
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
