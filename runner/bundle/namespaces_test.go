// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"maps"
	"testing"

	rspec "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-tools/generate"
	"github.com/podunit/podunit/runner/spec"
)

// TestNetSysctls: the parameters of a network namespace that is there before the container are not
// the runtime's to set, but the caller's.
func TestNetSysctls(t *testing.T) {
	for name, c := range map[string]struct {
		in      Input
		ours    map[string]string
		runtime string
	}{
		"a user namespace of its own":  {Input{UIDMap: []spec.IDRange{{Size: 1}}, Namespaces: Namespaces{Net: "/run/net"}}, map[string]string{"net.a": "1"}, "map[kernel.msgmax:2]"},
		"and a network of the runtime": {Input{UIDMap: []spec.IDRange{{Size: 1}}}, map[string]string{}, "map[kernel.msgmax:2 net.a:1]"},
		"no user namespace":            {Input{Namespaces: Namespaces{Net: "/run/net"}}, map[string]string{"net.a": "1"}, "map[kernel.msgmax:2]"},
	} {
		c.in.Spec = &spec.Container{Security: spec.Security{Sysctls: map[string]string{"net.a": "1", "kernel.msgmax": "2"}}}
		c.in.Config = defaults()
		b := &builder{Input: c.in, g: generate.NewFromSpec(&rspec.Spec{Linux: &rspec.Linux{}})}
		if err := b.sysctls(); err != nil {
			t.Fatal(err)
		}
		if got := b.NetSysctls(); !maps.Equal(got, c.ours) || fmt.Sprint(b.g.Config.Linux.Sysctl) != c.runtime {
			t.Errorf("%s: ours %v, the runtime's %v", name, got, b.g.Config.Linux.Sysctl)
		}
	}
}
