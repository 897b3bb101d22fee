// SPDX-License-Identifier: Apache-2.0

package cut

import (
	"maps"

	"golang.org/x/sys/unix"
)

// The calls that only this architecture still has.
func init() { //nolint:gochecknoinits // other machines have no such file
	maps.Copy(calls, map[uint32]call{
		unix.SYS_OPEN:    {"open", []place{{-1, 0}}, -1},
		unix.SYS_CREAT:   {"creat", []place{{-1, 0}}, -1},
		unix.SYS_MKDIR:   {"mkdir", []place{{-1, 0}}, -1},
		unix.SYS_RMDIR:   {"rmdir", []place{{-1, 0}}, -1},
		unix.SYS_MKNOD:   {"mknod", []place{{-1, 0}}, -1},
		unix.SYS_UNLINK:  {"unlink", []place{{-1, 0}}, -1},
		unix.SYS_RENAME:  {"rename", []place{{-1, 0}, {-1, 1}}, -1},
		unix.SYS_LINK:    {"link", []place{{-1, 0}, {-1, 1}}, -1},
		unix.SYS_SYMLINK: {"symlink", []place{{-1, 1}}, -1},
		unix.SYS_CHMOD:   {"chmod", []place{{-1, 0}}, -1},
		unix.SYS_CHOWN:   {"chown", []place{{-1, 0}}, -1},
		unix.SYS_LCHOWN:  {"lchown", []place{{-1, 0}}, -1},
	})
	opens[unix.SYS_OPEN] = 1
}
