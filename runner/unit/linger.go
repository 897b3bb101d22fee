// SPDX-License-Identifier: Apache-2.0

package unit

import (
	"os"
	"path/filepath"
)

// Lingers reports whether the units of a user, by the login name, run while nobody is logged in.
// Source: loginctl(1), enable-linger: a file of the user's name.
func Lingers(name string) bool {
	_, err := os.Stat(filepath.Join("/var/lib/systemd/linger", name))
	return name != "" && err == nil
}
