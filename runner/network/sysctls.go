// SPDX-License-Identifier: Apache-2.0

package network

import (
	"strings"

	"go.podman.io/common/pkg/config"
)

// sysctls are those every new namespace gets, as paths below /proc/sys. Ports
// below 1024 are nobody's privilege in a namespace that holds one application,
// and its root may ping. Source: ip_sysctl in the kernel's documentation;
// containers.conf(5), default_sysctls, which come last and so win.
func sysctls(conf *config.Config) [][2]string {
	out := [][2]string{
		{"net/ipv4/ip_unprivileged_port_start", "0"},
		{"net/ipv4/ping_group_range", "0 0"},
	}
	for _, s := range conf.Sysctls() {
		if name, value, ok := strings.Cut(s, "="); ok && strings.HasPrefix(name, "net.") {
			out = append(out, [2]string{strings.ReplaceAll(name, ".", "/"), value})
		}
	}
	return out
}
