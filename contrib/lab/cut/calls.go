// SPDX-License-Identifier: Apache-2.0

package cut

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A call is a system call that changes what a program leaves behind.
type call struct {
	name string
	// places are where it has the descriptor of a directory, or -1, and a name below it.
	places []place
	// fd is where it has the descriptor of what it changes, if it has no name.
	fd int
}

type place struct{ dir, name int }

// calls are all that count. Those that only have the disk keep what is there already, fsync(2) and
// its like, change nothing for who looks after a kill; nor do times. An open counts if it makes or
// empties a file, a write if it goes to a file, and a message if it goes to a bus. A machine of an
// older kind has more of them, which its own file adds.
var calls = map[uint32]call{
	unix.SYS_OPENAT:          {"openat", []place{{0, 1}}, -1},
	unix.SYS_OPENAT2:         {"openat2", []place{{0, 1}}, -1},
	unix.SYS_MKDIRAT:         {"mkdirat", []place{{0, 1}}, -1},
	unix.SYS_MKNODAT:         {"mknodat", []place{{0, 1}}, -1},
	unix.SYS_UNLINKAT:        {"unlinkat", []place{{0, 1}}, -1},
	unix.SYS_RENAMEAT2:       {"renameat2", []place{{0, 1}, {2, 3}}, -1},
	unix.SYS_RENAMEAT:        {"renameat", []place{{0, 1}, {2, 3}}, -1},
	unix.SYS_LINKAT:          {"linkat", []place{{0, 1}, {2, 3}}, -1},
	unix.SYS_SYMLINKAT:       {"symlinkat", []place{{1, 2}}, -1},
	unix.SYS_FCHOWNAT:        {"fchownat", []place{{0, 1}}, -1},
	unix.SYS_FCHMODAT:        {"fchmodat", []place{{0, 1}}, -1},
	unix.SYS_TRUNCATE:        {"truncate", []place{{-1, 0}}, -1},
	unix.SYS_SETXATTR:        {"setxattr", []place{{-1, 0}}, -1},
	unix.SYS_LSETXATTR:       {"lsetxattr", []place{{-1, 0}}, -1},
	unix.SYS_REMOVEXATTR:     {"removexattr", []place{{-1, 0}}, -1},
	unix.SYS_MOUNT:           {"mount", []place{{-1, 1}}, -1},
	unix.SYS_UMOUNT2:         {"umount2", []place{{-1, 0}}, -1},
	unix.SYS_MOVE_MOUNT:      {"move_mount", []place{{2, 3}}, -1},
	unix.SYS_FTRUNCATE:       {"ftruncate", nil, 0},
	unix.SYS_FALLOCATE:       {"fallocate", nil, 0},
	unix.SYS_FCHMOD:          {"fchmod", nil, 0},
	unix.SYS_FCHOWN:          {"fchown", nil, 0},
	unix.SYS_FSETXATTR:       {"fsetxattr", nil, 0},
	unix.SYS_WRITE:           {"write", nil, 0},
	unix.SYS_PWRITE64:        {"pwrite64", nil, 0},
	unix.SYS_WRITEV:          {"writev", nil, 0},
	unix.SYS_SENDFILE:        {"sendfile", nil, 0},
	unix.SYS_COPY_FILE_RANGE: {"copy_file_range", nil, 2},
	unix.SYS_SPLICE:          {"splice", nil, 2},
	unix.SYS_SENDMSG:         {"sendmsg", nil, 0},
}

// opens says at which index an open has its flags.
var opens = map[uint32]int{unix.SYS_OPENAT: 2}

// streams are calls that go on with a file: the first one after another file stands for all.
var streams = map[string]bool{
	"write": true, "pwrite64": true, "writev": true, "sendfile": true, "copy_file_range": true, "splice": true,
	"ftruncate": true, "fallocate": true, "fchmod": true, "fchown": true, "fsetxattr": true,
}

// makes are the flags of an open that changes something.
const makes = unix.O_CREAT | unix.O_TRUNC

// makers are calls that do nothing where their last name is there already, and takers where their
// first one is not.
var (
	makers = map[string]bool{"mkdir": true, "mkdirat": true, "mknod": true, "mknodat": true, "link": true, "linkat": true, "symlink": true, "symlinkat": true}
	takers = map[string]bool{"unlink": true, "unlinkat": true, "rmdir": true, "rename": true, "renameat": true, "renameat2": true}
)

// names gives what a call is about, or nothing if it changes nothing that stays. When it is asked,
// the thread waits in the call.
func (c call) names(thread int, args [6]uint64, flags uint64) []string {
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", thread))
	if err != nil {
		return nil // it is gone
	}
	defer memory.Close()
	if c.name == "openat2" {
		how := make([]byte, 8) // begins with the flags
		if _, err := memory.ReadAt(how, int64(args[2])); err != nil {
			return nil
		}
		flags = binary.NativeEndian.Uint64(how)
	}
	var names []string
	for _, p := range c.places {
		name := cString(memory, args[p.name])
		if !filepath.IsAbs(name) {
			at := "cwd"
			if p.dir >= 0 && int32(args[p.dir]) != unix.AT_FDCWD {
				at = fmt.Sprintf("fd/%d", int32(args[p.dir]))
			}
			dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/%s", thread, at))
			name = filepath.Join(dir, name)
		}
		names = append(names, name)
	}
	if c.fd >= 0 {
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", thread, int32(args[c.fd])))
		if bus := strings.HasPrefix(name, "socket:") && c.name == "sendmsg"; !bus && !filepath.IsAbs(name) {
			return nil
		}
		names = append(names, name)
	}
	there := func(name string) bool {
		_, err := os.Lstat(fmt.Sprintf("/proc/%d/root%s", thread, name))
		return err == nil
	}
	last := names[len(names)-1]
	switch {
	case strings.HasPrefix(last, "/proc/"), strings.HasPrefix(last, "/dev/"), last == "/":
		return nil
	case strings.HasPrefix(c.name, "open") && flags&unix.O_TRUNC == 0 && (flags&unix.O_CREAT == 0 || there(last)):
		return nil
	case makers[c.name] && there(last), takers[c.name] && !there(names[0]):
		return nil
	}
	return names
}

// cString reads a string that ends with a zero from a process's memory.
func cString(memory *os.File, at uint64) string {
	buf := make([]byte, 4096)
	n, _ := memory.ReadAt(buf, int64(at)) // up to a page that is not there
	s, _, _ := strings.Cut(string(buf[:n]), "\x00")
	return s
}
