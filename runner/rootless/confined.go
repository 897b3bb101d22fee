// SPDX-License-Identifier: Apache-2.0

package rootless

import (
	"os"
	"strconv"
	"strings"
)

// confinement names the keys of systemd that keep newuidmap from its work, given /proc/self/status
// and /proc/self/uid_map; it is empty when nothing there does. With no_new_privs the setuid bit of
// newuidmap has no effect, and in a user namespace that systemd made there is no ID to map but the
// user's own. Source: systemd.exec(5), NoNewPrivileges= and PrivateUsers=.
func confinement(status, uidMap string) string {
	for line := range strings.Lines(status) {
		if name, value, _ := strings.Cut(line, ":"); name == "NoNewPrivs" && strings.TrimSpace(value) == "1" {
			return "NoNewPrivileges= or a key that implies it, as SystemCallFilter=, RestrictAddressFamilies= or MemoryDenyWriteExecute="
		}
	}
	ids := uint64(0)
	for line := range strings.Lines(uidMap) {
		if f := strings.Fields(line); len(f) == 3 {
			n, err := strconv.ParseUint(f[2], 10, 32)
			if err != nil {
				return ""
			}
			ids += n
		}
	}
	if ids > 0 && ids < 4 {
		return "PrivateUsers= or a key that implies it, as PrivateTmp=, ProtectSystem=, ProtectHome= or PrivateNetwork="
	}
	return ""
}

// confined is confinement of this process, as it was before it made a user namespace.
func (i Identity) confined() string {
	// What cannot be read tells nothing.
	status, _ := os.ReadFile("/proc/self/status")
	uidMap := i.outerMap
	if uidMap == "" {
		own, _ := os.ReadFile("/proc/self/uid_map")
		uidMap = string(own)
	}
	return confinement(string(status), uidMap)
}
