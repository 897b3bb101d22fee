// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/podunit/podunit/runner/spec"
)

// Update turns limits into what the runtime is to change of a container that runs in a cgroup; nil
// where nothing is to be changed there. The warnings are of what has no effect.
func Update(limits spec.Limits, cgroup Cgroup) (*rspec.LinuxResources, []string, error) {
	b := &builder{Input: Input{Spec: &spec.Container{Limits: limits}, Config: defaults(), Cgroup: cgroup}}
	b.Config.PidsLimit = 0 // only what was asked for
	r := &rspec.LinuxResources{}
	b.pidsLimit(r)
	b.memoryLimits(r)
	b.cpuLimits(r)
	if err := b.blockLimits(r); err != nil {
		return nil, nil, err
	}
	if limits.PidsLimit != nil && *limits.PidsLimit <= 0 && cgroup.has("pids") {
		r.Pids = &rspec.LinuxPids{Limit: limits.PidsLimit} // there is to be none any more
	}
	if r.Pids == nil && r.Memory == nil && r.CPU == nil && r.BlockIO == nil {
		return nil, b.warnings, nil
	}
	return r, b.warnings, nil
}
