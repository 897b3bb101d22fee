// SPDX-License-Identifier: Apache-2.0

package process

import (
	"fmt"
	"os"
)

// Namespace is the path of a namespace of a process; kind is as in /proc/PID/ns: "net", "pid".
func Namespace(pid int, kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", pid, kind) }

// IsOurs reports whether the namespace at path is the one that we are in, which a user may not
// enter once more. Source: setns(2), whose rights are those of the namespace's owner.
func IsOurs(path, kind string) bool {
	theirs, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := os.Stat("/proc/self/ns/" + kind)
	return err == nil && os.SameFile(theirs, ours)
}
