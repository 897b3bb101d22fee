// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Sysfs mounts, read-only on the directory target, the sysfs of the network namespace at path. It
// is for a container whose own user namespace does not own its network namespace: the kernel does
// not let such a container mount one. The mount goes with unix.Unmount, or with the last process
// in our mount namespace.
func Sysfs(path, target string) error {
	ns, err := Open(path)
	if err != nil {
		return fmt.Errorf("mount sysfs on %s: %w", target, err)
	}
	defer ns.Close()
	err = Do(ns, func() error {
		// A sysfs shows the network namespace of whoever mounts it.
		return unix.Mount("sysfs", target, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	})
	if err != nil {
		return fmt.Errorf("mount sysfs on %s: %w", target, err)
	}
	return nil
}

// Tree mounts on target, in our mount namespace, what the process pid has mounted at path in its
// own. Both mounts are of the same file system; neither needs the other. Needs Linux 5.2.
func Tree(pid int, path, target string) error {
	var fd int
	err := onThread(func() (bool, error) {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if err != nil {
			return false, err
		}
		defer f.Close() // only held open
		// Threads share their root and working directory, which setns(2) with a
		// mount namespace does not allow.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return false, fmt.Errorf("unshare: %w", err)
		}
		if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNS); err != nil {
			return false, fmt.Errorf("enter the mount namespace of process %d: %w", pid, err)
		}
		fd, err = unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		return false, err
	})
	if err != nil {
		return fmt.Errorf("mount %s of process %d on %s: %w", path, pid, target, err)
	}
	defer unix.Close(fd) // the mount stays where it was put
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("mount %s of process %d on %s: %w", path, pid, target, err)
	}
	return nil
}
