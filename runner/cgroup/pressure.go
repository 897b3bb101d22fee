// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"os"
)

// Pressure is the share of the last ten seconds, in percent, in which some process of a cgroup
// waited for cpu, memory or io. It is an error if the kernel does not tell. Source: psi.rst, the
// line "some", avg10.
func Pressure(cgroup, kind string) (float64, error) { return machine.pressure(cgroup, kind) }

func (t tree) pressure(cgroup, kind string) (float64, error) {
	path := t.path(cgroup) + "/" + kind + ".pressure"
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var share float64
	if _, err := fmt.Sscanf(string(text), "some avg10=%g", &share); err != nil {
		return 0, fmt.Errorf("%s: %q: %w", path, text, err)
	}
	return share, nil
}
