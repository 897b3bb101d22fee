// SPDX-License-Identifier: Apache-2.0

// Package peer tells whether Podman's own generator is at work on this machine. Two generators that
// read the same files would write the same units, and which of the two wins would be chance.
package peer

import (
	"os"
	"strings"
)

// Generator returns the path of Podman's generator for system or user managers, "" when there is
// none or it is masked. The directories and the way to mask are those of systemd.generator(7). Root
// is put before each directory.
func Generator(root string, user bool) string {
	kind := "system"
	if user {
		kind = "user"
	}
	for _, dir := range []string{"/run/systemd/", "/etc/systemd/", "/usr/local/lib/systemd/", "/usr/lib/systemd/"} {
		path := root + dir + kind + "-generators/podman-" + kind + "-generator"
		if target, err := os.Readlink(path); err == nil && strings.TrimPrefix(target, root) == "/dev/null" {
			return ""
		}
		st, err := os.Stat(path)
		if err != nil {
			if _, err := os.Lstat(path); err == nil {
				return "" // a link to nothing hides what lower directories have
			}
			continue
		}
		if !st.Mode().IsRegular() || st.Size() == 0 || st.Mode()&0o111 == 0 {
			return ""
		}
		return path
	}
	return ""
}
