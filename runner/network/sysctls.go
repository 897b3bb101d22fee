// SPDX-License-Identifier: Apache-2.0

package network

import (
	"fmt"
	"strings"

	"go.podman.io/common/pkg/config"
)

// sysctls are those every new namespace gets, as paths below /proc/sys. Ports
// below 1024 are nobody's privilege in a namespace that holds one application,
// and its root may ping. ping is the group of that root. default_sysctls of containers.conf come
// last and so win. Source: ip_sysctl in the kernel's documentation; containers.conf(5).
func sysctls(conf *config.Config, ping int) [][2]string {
	const pingers = "net/ipv4/ping_group_range"
	out := [][2]string{
		{"net/ipv4/ip_unprivileged_port_start", "0"},
		{pingers, fmt.Sprint(0, ping)},
	}
	for _, s := range conf.Sysctls() {
		if name, value, ok := strings.Cut(s, "="); ok && strings.HasPrefix(name, "net.") {
			if name = strings.ReplaceAll(name, ".", "/"); name == pingers && value == "0 0" {
				continue // the default of containers.conf means the group of the container's root, which is ping in our user namespace
			}
			out = append(out, [2]string{name, value})
		}
	}
	return out
}
