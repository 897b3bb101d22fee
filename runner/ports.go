// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"
	"strings"

	"github.com/podunit/podunit/runner/spec"
)

// binding is one host port in inspect's PortBindings.
type binding struct {
	HostIp, HostPort string //nolint:revive,staticcheck // docker's and podman's spelling
}

// bindings are published ports by container port and protocol, as inspect shows them.
func bindings(published []spec.PortMapping) map[string][]binding {
	out := map[string][]binding{}
	for _, m := range published {
		ip := ""
		if m.HostIP.IsValid() {
			ip = strings.TrimPrefix(m.HostIP.String(), "::ffff:")
		}
		for i := range m.Range {
			key := strconv.Itoa(int(m.ContainerPort+i)) + "/" + m.Protocol
			out[key] = append(out[key], binding{ip, strconv.Itoa(int(m.HostPort + i))})
		}
	}
	return out
}
